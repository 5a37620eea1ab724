"""A member's line: when its trouble began, that the numbers of a member that is away are stale, what the brake holds."""

from typing import Any

from federation.api.lines import parse_line, print_line
from federation.hub.brake import Verdict
from federation.hub.execute.report import Outcome, ending, held_outcome, line, summary
from federation.hub.held import Cause, Change

FACTS = {"health": "Healthy", "ready": "2", "wanted": "2"}
APPLIED = print_line({**FACTS, "for": "4", "epoch": "2", "hash": "h", "uid": "u"})
HELD = Change(cluster="m1", uid="u", what="delete", cause=Cause("deleted shop", "templates deleted in namespace shop"))


def outcome(reason: str = "", **fields: Any) -> Outcome:
    return Outcome(epoch=2, generation=4, hash="h", reason=reason, **fields)


def test_a_reason_keeps_the_time_at_which_it_began_and_another_begins_anew() -> None:
    first = line(outcome("Forbidden", message="a"), FACTS, uid="u", stored=APPLIED, now=1000.0)
    again = line(outcome("Forbidden", message="b"), FACTS, uid="u", stored=first, now=2000.0)
    other = line(outcome("Invalid"), FACTS, uid="u", stored=again, now=3000.0)
    assert [parse_line(text)["since"] for text in (first, again, other)] == [
        "1970-01-01T00:16:40Z", "1970-01-01T00:16:40Z", "1970-01-01T00:50:00Z",
    ]  # fmt: skip
    assert "since" not in parse_line(line(outcome(), FACTS, uid="u", stored=other, now=4000.0))


def test_the_numbers_of_a_member_that_is_away_are_kept_and_marked_stale_also_while_they_are_in_our_cache() -> None:
    for facts in (FACTS, None):
        fields = parse_line(line(outcome("Unreachable"), facts, uid="u", stored=APPLIED, now=1000.0))
        assert (fields["stale"], fields["ready"], fields["for"], fields["epoch"]) == ("true", "2", "4", "2")
    assert "stale" not in parse_line(line(outcome("Forbidden"), FACTS, uid="u", stored=APPLIED, now=1000.0))
    assert summary({"m1": fields}) == "m1 2/2 stale (Unreachable)"


def test_what_is_held_names_plan_and_change_and_keeps_the_facts() -> None:
    held, again = held_outcome(HELD, Verdict.HELD, 2, 4)
    assert held is not None
    assert again is None, "only an approval, or that nobody wants it, ends it"
    fields = parse_line(line(held, FACTS, uid="u", stored=APPLIED, now=1000.0))
    assert (fields["reason"], fields["plan"], fields["change"], fields["do"]) == (
        "Held", HELD.cause.plan, HELD.id, "delete",
    )  # fmt: skip
    assert (fields["health"], fields["for"], fields["error"]) == ("Healthy", "4", HELD.cause.text)


def test_what_is_not_known_is_asked_again_and_said_by_nobody() -> None:
    assert held_outcome(HELD, Verdict.LATER, 2, 4) == (None, 1.0)


def test_a_binding_that_ends_tells_only_what_is_held_and_takes_it_back() -> None:
    conditions = [
        {"type": kind, "status": "True", "lastTransitionTime": "t"} for kind in ("Scheduled", "FullyApplied", "Ready")
    ]
    status: dict[str, Any] = {"members": {"m1": APPLIED, "m2": APPLIED}, "conditions": conditions}
    binding = {"metadata": {"generation": 1}, "status": status}
    gone = {"m1": outcome(), "m2": Outcome(epoch=0, generation=0, gone=True)}
    assert ending(binding, gone, now=1000.0) == (status["members"], conditions[1])

    held, _ = held_outcome(HELD, Verdict.HELD, 0, 0)
    assert held is not None
    lines, applied = ending(binding, {**gone, "m1": held}, now=1000.0)
    assert (applied["status"], applied["reason"]) == ("False", "Held")
    assert f"fedctl approve {HELD.cause.plan}" in applied["message"]
    assert lines["m2"] == APPLIED

    later = {
        "metadata": {"generation": 1},
        "status": {"members": lines, "conditions": [conditions[0], applied, conditions[2]]},
    }
    lines, applied = ending(later, {"m1": Outcome(epoch=0, generation=0, gone=True)}, now=2000.0)
    assert (applied["reason"], list(lines)) == ("Removing", ["m2"])
