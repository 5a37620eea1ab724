from federation.hub.detect.notes import Notes

WEB, API = ("apps/v1", "Deployment", "shop", "web"), ("apps/v1", "Deployment", "shop", "api")


def test_notes_are_kept_by_policy_until_their_template_is_looked_at_again() -> None:
    notes = Notes()
    notes.add(WEB, "policy-1", "Deployment shop/web", "PropagationPolicy other")
    notes.add(WEB, "policy-2", "Deployment shop/web", "PropagationPolicy other")
    notes.add(API, "policy-1", "Deployment shop/api", "PropagationPolicy other")
    notes.forget(WEB)
    assert notes.of("policy-1") == {"Deployment shop/api": "PropagationPolicy other"}
    assert notes.of("policy-2") == {}


def test_nothing_is_kept_of_policies_and_templates_that_are_gone() -> None:
    notes = Notes()
    notes.add(WEB, "policy-1", "Deployment shop/web", "PropagationPolicy other")
    notes.forget(WEB)
    notes.forget(WEB)
    assert (notes._notes, notes._places) == ({}, {})
