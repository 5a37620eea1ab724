from federation.hub.detect.notes import Notes

ONE, TWO = ("PropagationPolicy", "shop", "one"), ("PropagationPolicy", "shop", "two")
WEB, API = ("apps/v1", "Deployment", "shop", "web"), ("apps/v1", "Deployment", "shop", "api")


def test_notes_are_kept_by_policy_until_their_template_is_looked_at_again() -> None:
    notes = Notes()
    notes.add(WEB, ONE, "Deployment shop/web", "PropagationPolicy other")
    notes.add(WEB, TWO, "Deployment shop/web", "PropagationPolicy other")
    notes.add(API, ONE, "Deployment shop/api", "PropagationPolicy other")
    assert notes.knows(WEB)
    assert notes.forget(WEB) == {ONE, TWO}
    assert not notes.knows(WEB)
    assert notes.of(ONE) == {"Deployment shop/api": "PropagationPolicy other"}
    assert notes.of(TWO) == {}


def test_nothing_is_kept_of_policies_and_templates_that_are_gone() -> None:
    notes = Notes()
    notes.add(WEB, ONE, "Deployment shop/web", "PropagationPolicy other")
    notes.forget(WEB)
    notes.forget(WEB)
    assert (notes._notes, notes._places) == ({}, {})
