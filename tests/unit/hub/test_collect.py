"""When a template's status may say that it caught up (I13), and when there is nothing to write."""

from typing import Any

import pytest

from federation.api.lines import print_line
from federation.hub.collect.decide import next_deadline, plan
from federation.hub.conditions import timestamp

TEMPLATE: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "generation": 4},
    "spec": {"replicas": 1},
}
DECISION = {"epoch": 2, "trigger": "Created", "inputs": '{"placement":{},"replicas":1}', "targets": {"m1": 1}}


def line(**changed: str) -> str:
    fields = {
        "health": "Healthy", "generation": "7/7", "wanted": "1", "replicas": "1", "updated": "1", "ready": "1", "available": "1",
        "cond.Available": "True/x", "cond.Progressing": "True/x", "for": "4", "epoch": "2", **changed,
    }  # fmt: skip
    return print_line(fields)


def observed(text: str) -> int:
    status = plan(
        TEMPLATE, {"metadata": {}, "spec": {}, "status": {"decision": DECISION, "members": {"m1": text}}}, now=1000.0
    )
    assert status is not None
    return status.get("observedGeneration", 0)


def test_all_targets_at_this_generation_and_epoch_have_caught_up() -> None:
    assert observed(line()) == 4


def test_a_target_that_is_behind_in_any_way_has_not() -> None:
    for behind in (line(**{"for": "3"}), line(epoch="1"), line(generation="6/7"), line(reason="Suspended")):
        assert observed(behind) == 0, behind


def test_an_equal_status_is_not_written_again() -> None:
    binding = {"metadata": {}, "spec": {}, "status": {"decision": DECISION, "members": {"m1": line()}}}
    first = plan(TEMPLATE, binding, now=1000.0)
    assert plan({**TEMPLATE, "status": {**(first or {}), "collisionCount": 0}}, binding, now=2000.0) is None


def test_before_a_decision_there_is_nothing_to_say() -> None:
    assert plan(TEMPLATE, {"metadata": {}, "spec": {}, "status": {}}, now=1000.0) is None


# A member in trouble: past the deadline it fails the template by name; when it is back, all is in progress, then as before.

T0 = 1_785_830_400.0
AWAY = {"reason": "Unreachable", "since": timestamp(T0), "stale": "true", "error": "the cluster does not answer"}
TWO = {**DECISION, "targets": {"m1": 1, "m2": 1}, "inputs": '{"placement":{"replicaScheduling":{}},"replicas":2}'}


def binding(**lines: str) -> dict[str, Any]:
    return {"metadata": {}, "spec": {}, "status": {"decision": TWO, "members": lines}}


def template(status: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return {**TEMPLATE, "spec": {"replicas": 2, **spec}, "status": status or {}}


def said(status: dict[str, Any] | None, kind: str = "Progressing") -> dict[str, Any]:
    assert status is not None
    return next((one for one in status["conditions"] if one["type"] == kind), {})


def test_a_member_that_stays_away_past_the_deadline_fails_the_template_and_is_named() -> None:
    found = binding(m1=line(), m2=line(**AWAY))
    settled = plan(template(), binding(m1=line(), m2=line()), now=T0)
    before = plan(template(settled), found, now=T0 + 599)
    assert (said(before)["status"], said(before)["reason"]) == ("True", "NewReplicaSetAvailable")
    assert "not in step: m2 (Unreachable since 2026-08-04T08:00:00Z, its numbers are stale" in said(before)["message"]
    late = plan(template(before), found, now=T0 + 600)
    assert (said(late)["status"], said(late)["reason"]) == ("False", "ProgressDeadlineExceeded")
    assert said(late)["message"].startswith("no progress in m2 (Unreachable since 2026-08-04T08:00:00Z")
    assert late is not None
    assert late["availableReplicas"] == 2, "the last known numbers are kept"
    back = plan(template(late), binding(m1=line(), m2=line()), now=T0 + 700)
    assert (said(back)["status"], said(back)["reason"]) == ("True", "NewReplicaSetAvailable")


def test_the_template_says_how_long_it_waits() -> None:
    found = binding(m1=line(), m2=line(**AWAY))
    assert said(plan(template(progressDeadlineSeconds=3), found, now=T0 + 3))["status"] == "False"
    assert said(plan(template(progressDeadlineSeconds=900), found, now=T0 + 600))["status"] == "True"


def test_a_generation_that_a_member_refuses_is_observed_once_it_has_failed_and_never_counted_as_updated() -> None:
    old, refused = {"for": "3"}, {"reason": "Forbidden", "since": timestamp(T0), "error": "no"}
    found = binding(m1=line(), m2=line(**old, **refused))
    early = plan(template(), found, now=T0 + 10)
    assert early is not None
    assert "observedGeneration" not in early
    late = plan(template(early), found, now=T0 + 600)
    assert late is not None
    assert (late["observedGeneration"], late["updatedReplicas"], late["replicas"]) == (4, 1, 2)
    allowed = plan(template(late), binding(m1=line(), m2=line(**old)), now=T0 + 601)
    assert allowed is not None
    assert allowed["updatedReplicas"] == 1, "m2 runs generation 3"
    assert said(allowed)["reason"] == "ReplicaSetUpdated"
    assert (
        said(plan(template(allowed), binding(m1=line(), m2=line()), now=T0 + 602))["reason"] == "NewReplicaSetAvailable"
    )


def test_a_template_that_every_member_refuses_from_the_start_fails_too() -> None:
    line_ = print_line({"reason": "Forbidden", "since": timestamp(T0), "error": "no"})
    assert plan(template(), binding(m1=line_, m2=line_), now=T0 + 10) is None
    late = plan(template(), binding(m1=line_, m2=line_), now=T0 + 600)
    assert said(late)["reason"] == "ProgressDeadlineExceeded"
    assert said(late, "Available")["status"] == "False"


@pytest.mark.parametrize("reason", ["Suspended", "Held"])
def test_what_waits_for_a_human_misses_no_deadline(reason: str) -> None:
    found = binding(m1=line(), m2=line(reason=reason, since=timestamp(T0)))
    assert said(plan(template(), found, now=T0 + 10_000))["status"] == "True"
    assert next_deadline(template(), found, now=T0) is None


def test_the_next_look_is_at_the_earliest_deadline() -> None:
    later = {**AWAY, "since": timestamp(T0 + 100)}
    found = binding(m1=line(**AWAY), m2=line(**later))
    assert next_deadline(template(), found, now=T0 + 1) == 599
    assert next_deadline(template(), found, now=T0 + 650) == 50
    assert next_deadline(template(), found, now=T0 + 700) is None
    assert next_deadline(template(), binding(m1=line(), m2=line()), now=T0) is None


def test_a_kind_without_progressing_is_stalled_then_reconciling_then_neither() -> None:
    def statefulset(status: dict[str, Any] | None = None) -> dict[str, Any]:
        return {**template(status), "kind": "StatefulSet", "metadata": {**TEMPLATE["metadata"], "name": "db"}}

    old = line(**{"for": "3"})
    late = plan(statefulset(), binding(m1=line(), m2=line(**{"for": "3"}, **AWAY)), now=T0 + 600)
    assert (said(late, "Stalled")["status"], said(late, "Stalled")["reason"]) == ("True", "ProgressDeadlineExceeded")
    back = plan(statefulset(late), binding(m1=line(), m2=old), now=T0 + 601)
    assert said(back, "Stalled") == {}
    assert said(back, "Reconciling")["status"] == "True"
    done = plan(statefulset(back), binding(m1=line(), m2=line()), now=T0 + 602)
    assert done is not None
    assert "conditions" not in done
