"""When a template's status may say that it caught up (I13), and when there is nothing to write."""

from federation.api.lines import print_line
from federation.hub.collect.decide import plan

TEMPLATE = {
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
        TEMPLATE, {"metadata": {}, "spec": {}, "status": {"decision": DECISION, "members": {"m1": text}}}, now="t"
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
    first = plan(TEMPLATE, binding, now="t")
    assert plan({**TEMPLATE, "status": {**(first or {}), "collisionCount": 0}}, binding, now="later") is None


def test_before_a_decision_there_is_nothing_to_say() -> None:
    assert plan(TEMPLATE, {"metadata": {}, "spec": {}, "status": {}}, now="t") is None
