"""Whether the hub went back in time, from marks and numbers; property: an honest history is never behind."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.api.lines import Mark, Moment, parse_mark, print_mark
from federation.hub.evidence import Evidence, Standing
from federation.hub.execute.decide import Plan, Step, marked
from federation.hub.execute.diff import Difference, diff
from federation.hub.execute.orphans import Fate, fate
from federation.hub.execute.permit import permitted
from federation.hub.execute.render import render
from federation.hub.timeline import (
    Behind,
    Marked,
    Record,
    ahead_of,
    behind_text,
    fell_behind,
    numbers_text,
    read_record,
    resumed,
)
from federation.policy.facts import ClusterFacts
from tests.unit.hub.test_copies import IDENTITY, TEMPLATE


def a_mark(at: tuple[int, int] | None = (1, 100), *, epoch: int = 3, hub: str = "hub") -> Mark:
    moment = Moment(*at) if at is not None else None
    return Mark(hub=hub, binding="shop/web", template_uid="t", epoch=epoch, hash="x", at=moment)


def an_object(at: tuple[int, int] | None = (1, 100), *, name: str = "web", **mark: Any) -> Marked:
    return Marked(
        member="m1", api_version="apps/v1", kind="Deployment", namespace="shop", name=name, uid="u", resource_version="5",
        mark=a_mark(at, **mark),
    )  # fmt: skip


def ahead(*objects: Marked, bound: tuple[int, int], epoch: int | None = None) -> int:
    epochs = {("shop", "web"): epoch} if epoch is not None else {}
    return len(ahead_of(objects, hub_id="hub", bound=Moment(*bound), epochs=epochs))


def test_a_mark_carries_the_moment_of_its_writing_and_one_of_an_older_version_carries_none() -> None:
    mark = a_mark((2, 48213))
    assert "at=2.48213" in print_mark(mark)
    assert parse_mark(print_mark(mark)) == mark
    old = a_mark(None)
    assert "at=" not in print_mark(old)
    assert parse_mark(print_mark(old)) == old
    assert parse_mark(print_mark(old) + " at=soon") == old, "what cannot be read is no reason to think the hub behind"


AHEAD: dict[str, tuple[Marked, tuple[int, int], int | None, bool]] = {
    "written before the newest Lease": (an_object((1, 100)), (1, 100), 3, False),
    "written after the newest Lease": (an_object((1, 101)), (1, 100), 3, True),
    "written in a later incarnation": (an_object((2, 1)), (1, 100), 3, True),
    "written in an earlier incarnation, whatever the revision": (an_object((1, 900)), (2, 100), 3, False),
    "for a decision that the hub does not know": (an_object((1, 5), epoch=4), (1, 100), 3, True),
    "for a binding without a decision": (an_object((1, 5), epoch=4), (1, 100), None, False),
    "of an older version, which tells no moment": (an_object(None), (1, 0), 3, False),
    "of another hub": (an_object((9, 900), hub="other"), (1, 100), 3, False),
}


@pytest.mark.parametrize("case", AHEAD)
def test_a_mark_is_ahead_of_the_hub_only_where_the_hub_forgot_it(case: str) -> None:
    one, bound, epoch, expected = AHEAD[case]
    assert bool(ahead(one, bound=bound, epoch=epoch)) is expected


STEPS = st.lists(st.sampled_from(["lease", "write", "restart"]), max_size=60)


@given(before=STEPS, after=STEPS, snapshot=st.booleans())
def test_an_honest_history_is_never_behind_and_a_restored_one_is_as_soon_as_a_lease_was_renewed(
    before: list[str], after: list[str], snapshot: bool
) -> None:
    revision = lease = known = 1
    marks: list[Marked] = []

    def walk(steps: list[str]) -> None:
        nonlocal revision, lease, known
        for step in steps:
            revision += 1
            if step == "lease":
                lease = known = revision
            elif step == "write":
                marks.append(an_object((1, known)))
            else:
                assert ahead(*marks, bound=(1, lease)) == 0
                known = lease

    walk(before)
    kept = lease
    walk(after)
    assert ahead(*marks, bound=(1, lease)) == 0
    if snapshot:
        written_later = [one for one in marks if one.mark.at is not None and one.mark.at.revision > kept]
        assert ahead(*marks, bound=(1, kept)) == len(written_later)


def test_the_record_reads_back_and_an_unreadable_behind_still_holds() -> None:
    behind = fell_behind([an_object((1, 150))], bound=Moment(1, 100), since="2026-01-01T00:00:00Z")
    data = {
        "id": "abc", "incarnation": "1", "behind": behind_text(behind), "forks": numbers_text({1: 5}),
        "unseen": numbers_text({"m2": 7}),
    }  # fmt: skip
    record = read_record({"data": data})
    assert record == Record(id="abc", incarnation=1, behind=behind, forks={1: 5}, unseen={"m2": 7})
    assert read_record({}) == Record()
    broken = read_record({"data": {"behind": "{"}}).behind
    assert broken is not None
    assert broken.is_ahead(a_mark((1, 1)))


def test_a_long_list_of_what_is_ahead_is_cut_counted_and_does_not_grow_by_looking_again() -> None:
    many = [an_object((1, 200 + number), name=f"w{number}") for number in range(50)]
    behind = fell_behind(many, bound=Moment(1, 100), since="s")
    assert (len(behind.ahead), behind.count) == (20, 50)
    assert behind.highest == Moment(1, 249)
    assert "and 30 more" in behind_text(behind)
    assert fell_behind(many, bound=Moment(1, 100), since="later", known=behind) == behind
    few = fell_behind(many[:2], bound=Moment(1, 100), since="s")
    assert fell_behind(many[1:3], bound=Moment(1, 90), since="later", known=few).count == 3
    assert fell_behind([], bound=Moment(1, 90), since="later", known=few).hub == Moment(1, 90)


RESUME: dict[str, tuple[int, Behind, dict[int, int], dict[int, int], int]] = {
    "a restored snapshot": (1, Behind(since="", hub=Moment(1, 100), highest=Moment(1, 150)), {}, {1: 100}, 2),
    "a second one": (2, Behind(since="", hub=Moment(2, 300), highest=Moment(2, 400)), {1: 100}, {1: 100, 2: 300}, 3),
    "a rebuilt hub that does not know the incarnations of before": (
        1, Behind(since="", hub=Moment(1, 30), highest=Moment(3, 150)), {}, {1: 30, 2: 0, 3: 0}, 4,
    ),
    "an earlier fork of the same incarnation counts": (
        1, Behind(since="", hub=Moment(1, 100), highest=Moment(1, 150)), {1: 60}, {1: 60}, 2,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", RESUME)
def test_resuming_begins_an_incarnation_above_every_one_that_a_member_has_seen(case: str) -> None:
    incarnation, behind, forks, expected, following = RESUME[case]
    record = resumed(Record(id="h", incarnation=incarnation, behind=behind, forks=forks, unseen={"m2": 3}))
    assert (record.incarnation, record.behind, dict(record.forks)) == (following, None, expected)
    assert record.unseen == {"m2": 3}
    assert record.lost(a_mark(behind.highest))
    assert not ahead(an_object(behind.highest), bound=(record.incarnation, 0))


def test_a_hub_that_is_not_behind_cannot_be_resumed() -> None:
    with pytest.raises(ValueError, match="not behind"):
        resumed(Record(id="h"))


BEHIND = Behind(since="s", hub=Moment(1, 100), highest=Moment(1, 150))
FATES: dict[str, tuple[Marked, Record, Standing, bool, Fate, str]] = {
    "template gone": (an_object(), Record(), Standing.GONE, False, Fate.DELETE, "TemplateGone"),
    "template there": (an_object(), Record(), Standing.PRESENT, False, Fate.KEEP, "NoBinding"),
    "template unknown": (an_object(), Record(), Standing.UNKNOWN, False, Fate.ASK, "Unknown"),
    "template ends": (an_object(), Record(), Standing.TERMINATING, False, Fate.ASK, "TemplateEnds"),
    "kind undefined": (an_object(), Record(), Standing.UNDEFINED, False, Fate.KEEP, "KindMissing"),
    "another hub's": (an_object(hub="x"), Record(), Standing.GONE, False, Fate.FOREIGN, "OtherHub"),
    "hub behind": (an_object(), Record(behind=BEHIND), Standing.GONE, False, Fate.KEEP, "HubBehindMembers"),
    "a fresh look shows it ahead": (an_object(), Record(), Standing.GONE, True, Fate.KEEP, "HubBehindMembers"),
    "of a lost timeline": (
        an_object((1, 101)), Record(incarnation=2, forks={1: 100}), Standing.GONE, False, Fate.KEEP, "LostTimeline",
    ),
    "of an earlier incarnation, before its fork": (
        an_object((1, 99)), Record(incarnation=2, forks={1: 100}), Standing.GONE, False, Fate.DELETE, "TemplateGone",
    ),
    "of the moment of the fork, so perhaps after it": (
        an_object((1, 100)), Record(incarnation=2, forks={1: 100}), Standing.GONE, False, Fate.KEEP, "LostTimeline",
    ),
    "of an older version": (
        an_object(None), Record(incarnation=2, forks={1: 100}), Standing.GONE, False, Fate.DELETE, "TemplateGone",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FATES)
def test_an_object_without_a_binding_goes_only_on_evidence(case: str) -> None:
    one, record, standing, is_ahead, expected, reason = FATES[case]
    verdict = fate(one, hub_id="hub", record=record, evidence=Evidence(standing), ahead=is_ahead)
    assert (verdict.fate, verdict.reason) == (expected, reason)


def deployment(replicas: int, *, at: tuple[int, int] = (1, 90), epoch: int = 3, image: str = "a") -> dict[str, Any]:
    container = {"name": "app", "image": image}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "uid": "u", "annotations": {"federation.dev/mark": print_mark(a_mark(at, epoch=epoch))}},
        "spec": {"replicas": replicas, "template": {"spec": {"containers": [container]}}},
    }  # fmt: skip


def apply(replicas: int, *differences: str) -> Plan:
    found = tuple(Difference(path, 1, 2) for path in differences)
    return Plan(step=Step.APPLY, manifest=deployment(replicas), differences=found)


MARK = "metadata.annotations.federation.dev/mark"
GATE: dict[str, tuple[Plan, dict[str, Any], int | None, Behind | None, str]] = {
    "a delete, in order": (Plan(step=Step.DELETE), deployment(2), 3, None, ""),
    "a delete while behind": (Plan(step=Step.DELETE), deployment(2), 3, BEHIND, "HubBehindMembers"),
    "an unmarking while behind": (Plan(step=Step.UNMARK), deployment(2), None, BEHIND, "HubBehindMembers"),
    "a shrink while behind": (apply(1, "spec.replicas"), deployment(2), 3, BEHIND, "HubBehindMembers"),
    "a growth while behind": (apply(3, "spec.replicas"), deployment(2), 3, BEHIND, ""),
    "another content for a copy that the hub forgot": (
        apply(2, "spec.template"), deployment(2, at=(1, 120)), 3, BEHIND, "HubBehindMembers",
    ),
    "marks only for a copy that the hub forgot": (apply(2, MARK), deployment(2, at=(1, 120)), 3, BEHIND, ""),
    "another content for a copy that it remembers": (apply(2, "spec.template"), deployment(2), 3, BEHIND, ""),
    "a copy of a later decision": (apply(3, "spec.replicas"), deployment(2, epoch=4), 3, None, "EpochAhead"),
    "a delete of a copy of a later decision": (Plan(step=Step.DELETE), deployment(2, epoch=4), 3, None, "EpochAhead"),
    "the end of a binding, whatever the epoch": (Plan(step=Step.DELETE), deployment(2, epoch=4), None, None, ""),
}  # fmt: skip


@pytest.mark.parametrize("case", GATE)
def test_the_gate_holds_back_what_would_take_something_away(case: str) -> None:
    plan, observed, epoch, behind, reason = GATE[case]
    result = permitted(plan, observed, epoch=epoch, behind=behind)
    assert (result.step is Step.WAIT, result.reason) == (bool(reason), reason)
    assert reason or result is plan


def test_a_create_is_never_held_back() -> None:
    plan = Plan(step=Step.CREATE, manifest=deployment(1))
    assert permitted(plan, None, epoch=3, behind=BEHIND) is plan


def test_a_later_moment_alone_is_no_reason_to_write() -> None:
    rendering = render(TEMPLATE, cluster=ClusterFacts(name="m1"), shares={}, overrides=[])
    observed = marked(rendering, IDENTITY, template_uid="t1", epoch=1, at=Moment(1, 5))
    assert diff(marked(rendering, IDENTITY, template_uid="t1", epoch=2, at=Moment(2, 9)), observed) == []
    assert diff(marked(rendering, IDENTITY, template_uid="t2", epoch=2, at=Moment(2, 9)), observed) != []
