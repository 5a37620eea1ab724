"""Make before break, step by step: what a decision gives, what it waits for, what it takes away."""

import orjson
import pytest

from federation.api.binding import Decision, Move
from federation.api.lines import parse_line
from federation.schedule.moves import Course, advance, begin, goal_of, stuck

DIVIDED = {"placement": {"replicaScheduling": {"replicaSchedulingType": "Divided"}}}


def decision(targets: dict, *moves: tuple[str, str, int, int], epoch: int = 5, divided: bool = True) -> Decision:
    inputs = {**(DIVIDED if divided else {}), "replicas": sum(targets.values()) or None}
    open_moves = [Move(from_=giver, to=to, replicas=count, granted=granted) for giver, to, count, granted in moves]
    return Decision(
        epoch=epoch, trigger="PlacementChanged", inputs=orjson.dumps(inputs).decode(), targets=targets, moves=open_moves
    )


def line(available: int, *, epoch: int = 5, health: str = "Healthy", seen: str = "2/2", **more: str) -> str:
    fields = {"health": health, "generation": seen, "available": str(available), "epoch": str(epoch), **more}
    return " ".join(f"{key}={value}" for key, value in fields.items())


def seen_in(lines: dict[str, str]) -> dict[str, int]:
    """spec.replicas of the copies, where a line says it."""
    parsed = {name: parse_line(text) for name, text in lines.items()}
    return {name: int(fields["wanted"]) for name, fields in parsed.items() if "wanted" in fields}


def moves(course: Course) -> list[tuple[str, str, int, int]]:
    return [(move.from_, move.to, move.replicas, move.granted) for move in course.moves]


BEGINNINGS = {
    "a move is granted as far as the surge goes, and the giver keeps everything": (
        {"m1": 4}, {"m2": 4}, 1, {"m1": 4, "m2": 1}, [("m1", "m2", 4, 1)],
    ),
    "with room for all of it the whole share is made at once": (
        {"m1": 2, "m2": 1}, {"m2": 3}, 3, {"m1": 2, "m2": 3}, [("m1", "m2", 2, 2)],
    ),
    "growth that is wanted in itself needs no move": ({"m1": 1}, {"m1": 2, "m2": 3}, 1, {"m1": 2, "m2": 3}, []),
    "a fall of the total is taken at once": ({"m1": 3, "m2": 3}, {"m1": 1, "m2": 2}, 1, {"m1": 1, "m2": 2}, []),
    "growth of the total is given first, and only the rest is a move": (
        {"m1": 4}, {"m1": 2, "m2": 4}, 1, {"m1": 4, "m2": 3}, [("m1", "m2", 2, 1)],
    ),
    "with a fall of the total only what must grow elsewhere is a move": (
        {"m1": 6}, {"m1": 1, "m2": 2}, 1, {"m1": 3, "m2": 1}, [("m1", "m2", 2, 1)],
    ),
    "two givers and two receivers are paired in the order of their names": (
        {"a": 1, "b": 1}, {"c": 1, "d": 1}, 2, {"a": 1, "b": 1, "c": 1, "d": 1}, [("a", "c", 1, 1), ("b", "d", 1, 1)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BEGINNINGS)
def test_the_first_step_of_a_divided_workload(name: str) -> None:
    before, goal, surge, targets, expected = BEGINNINGS[name]
    course = begin(
        before, goal, in_force=None, lines={}, seen=before, surge=surge, divided=True, reason="PlacementChanged"
    )
    assert course.targets == {key: count for key, count in targets.items() if count}
    assert moves(course) == expected


STEPS = {
    "nothing goes while the new replicas are not available": (
        decision({"m1": 4, "m2": 1}, ("m1", "m2", 4, 1)), {"m1": line(4), "m2": line(0)}, 1, None,
    ),
    "nothing goes by what the receiver showed before this decision": (
        decision({"m1": 4, "m2": 1}, ("m1", "m2", 4, 1)), {"m1": line(4), "m2": line(1, epoch=4)}, 1, None,
    ),
    "nothing goes before the receiver's controllers have seen what we wrote": (
        decision({"m1": 4, "m2": 2}, ("m1", "m2", 4, 1)), {"m1": line(4), "m2": line(2, seen="1/2")}, 1, None,
    ),
    "what became available is released, and nothing more is given in the same step": (
        decision({"m1": 4, "m2": 1}, ("m1", "m2", 4, 1)), {"m1": line(4), "m2": line(1)}, 1,
        ({"m1": 3, "m2": 1}, [("m1", "m2", 3, 0)]),
    ),
    "the next part is given once the members confirmed the last step": (
        decision({"m1": 3, "m2": 1}, ("m1", "m2", 3, 0)), {"m1": line(3), "m2": line(1)}, 1,
        ({"m1": 3, "m2": 2}, [("m1", "m2", 3, 1)]),
    ),
    "nothing more is given while a member has not confirmed the last step": (
        decision({"m1": 3, "m2": 1}, ("m1", "m2", 3, 0)), {"m1": line(4, epoch=4, wanted="4"), "m2": line(1)}, 1, None,
    ),
    "a giver that is away counts as having confirmed": (
        decision({"m1": 3, "m2": 1}, ("m1", "m2", 3, 0)), {"m1": line(3, epoch=4, reason="Unreachable"), "m2": line(1)}, 1,
        ({"m1": 3, "m2": 2}, [("m1", "m2", 3, 1)]),
    ),
    "a receiver that is away shows nothing, whatever it showed last": (
        decision({"m1": 3, "m2": 1}, ("m1", "m2", 3, 1)), {"m1": line(3), "m2": line(1, reason="Unreachable", stale="true")}, 1, None,
    ),
    "the last part ends the move": (
        decision({"m1": 1, "m2": 4}, ("m1", "m2", 1, 1)), {"m1": line(1), "m2": line(4)}, 1, ({"m2": 4}, []),
    ),
    "a part of what was given is released for what is available": (
        decision({"m1": 3, "m2": 3}, ("m1", "m2", 3, 3)), {"m1": line(3), "m2": line(2)}, 3,
        ({"m1": 1, "m2": 3}, [("m1", "m2", 1, 1)]),
    ),
    "replicas that the receiver lacked before are not counted as the new ones": (
        decision({"m1": 2, "m2": 5}, ("m1", "m2", 2, 2)), {"m1": line(2), "m2": line(3)}, 2, None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STEPS)
def test_the_next_step_of_a_divided_workload(name: str) -> None:
    in_force, lines, surge, expected = STEPS[name]
    course = advance(in_force, lines=lines, seen=seen_in(lines), surge=surge)
    assert (None if course is None else (course.targets, moves(course))) == expected


def test_a_new_process_that_has_not_seen_a_copy_counts_what_its_line_says() -> None:
    in_force = decision({"m1": 2, "m2": 1}, ("m2", "m1", 1, 0))
    lines = {"m1": line(2, epoch=4, wanted="2"), "m2": line(2, epoch=4, wanted="2")}
    assert advance(in_force, lines=lines, seen={"m1": 2}, surge=1) is None, "m2 may still hold two"
    course = advance(in_force, lines=lines, seen={"m1": 2, "m2": 1}, surge=1)
    assert course is not None
    assert course.targets == {"m1": 3, "m2": 1}


COPIES = {
    "an old copy stays until the new one serves": (
        decision({"m1": 2, "m3": 2}, ("m1", "m3", 2, 2), divided=False), {"m1": line(2), "m3": line(1, health="Progressing")}, None,
    ),
    "an old copy goes when the new one serves": (
        decision({"m1": 2, "m3": 2}, ("m1", "m3", 2, 2), divided=False), {"m1": line(2), "m3": line(2)}, ({"m3": 2}, []),
    ),
    "a copy that nothing replaces goes while another one serves": (
        decision({"m1": 2, "m2": 2}, ("m1", "", 2, 2), divided=False), {"m1": line(2), "m2": line(2)}, ({"m2": 2}, []),
    ),
    "a copy in a member that is away does not serve": (
        decision({"m1": 2, "m2": 2}, ("m1", "", 2, 2), divided=False), {"m1": line(2), "m2": line(2, reason="Unreachable")}, None,
    ),
    "the last copy that serves stays": (
        decision({"m1": 2, "m2": 2}, ("m1", "", 2, 2), divided=False), {"m1": line(2), "m2": line(0, health="Progressing")}, None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", COPIES)
def test_whole_copies(name: str) -> None:
    in_force, lines, expected = COPIES[name]
    course = advance(in_force, lines=lines, seen=seen_in(lines), surge=1)
    assert (None if course is None else (course.targets, moves(course))) == expected


def test_a_duplicated_workload_is_dropped_at_once_where_another_copy_serves_already() -> None:
    in_force = decision({"m1": 2, "m2": 2}, divided=False)
    lines = {"m1": line(2), "m2": line(2)}
    course = begin(
        in_force.targets,
        {"m2": 2},
        in_force=in_force,
        lines=lines,
        seen=seen_in(lines),
        surge=1,
        divided=False,
        reason="PlacementChanged",
    )
    assert course == Course(targets={"m2": 2})


def test_the_goal_is_what_open_moves_lead_to() -> None:
    assert goal_of(decision({"m1": 3, "m2": 2, "m3": 1}, ("m1", "m2", 3, 1))) == {"m2": 4, "m3": 1}
    assert goal_of(decision({"m1": 2, "m3": 2}, ("m1", "m3", 2, 2), divided=False)) == {"m3": 2}


def test_a_change_of_mind_takes_back_what_was_given_and_is_not_needed() -> None:
    in_force = decision({"m1": 4, "m2": 1}, ("m1", "m2", 4, 1))
    lines = {"m1": line(4), "m2": line(0)}
    course = begin(
        in_force.targets,
        {"m1": 4},
        in_force=in_force,
        lines=lines,
        seen=seen_in(lines),
        surge=1,
        divided=True,
        reason="PlacementChanged",
    )
    assert course == Course(targets={"m1": 4})


def test_a_move_whose_new_replicas_fail_is_named() -> None:
    in_force = decision({"m1": 4, "m2": 1}, ("m1", "m2", 4, 1))
    assert stuck(in_force, {"m2": line(0, health="Progressing")}) == []
    assert stuck(in_force, {"m2": line(0, health="Unhealthy")}) == [
        "m2 does not take 4 from m1: they do not become available"
    ]
    assert stuck(in_force, {"m2": "reason=Forbidden"}) == ["m2 does not take 4 from m1: Forbidden"]


def test_whole_copies_that_wait_for_no_successor_do_not_stop_a_policy_that_divides_from_now_on() -> None:
    """A policy goes from Duplicated to Divided while a copy that must go waits for any other one to serve."""
    waiting = decision({"m1": 3}, ("m1", "", 3, 3), divided=False)
    course = begin(
        {"m1": 3}, {"m2": 3}, in_force=waiting, lines={}, seen={}, surge=1, divided=True, reason="PlacementChanged"
    )
    assert course.targets == {"m1": 3, "m2": 1}
    assert moves(course) == [("m1", "m2", 3, 1)]
