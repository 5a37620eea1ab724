"""Workloads that stay together or apart: the first is free, the others follow, what is placed stays."""

import pytest

from federation.schedule.decide import schedule
from tests.unit.schedule.build import DYNAMIC, binding, member

CLUSTERS = [member("m1"), member("m2"), member("m3")]
CASES = {
    "the first of a group goes anywhere": ({}, {}, {"m1", "m2", "m3"}),
    "the next one goes where the first is": ({"Deployment shop/a": {"m2"}}, {}, {"m2"}),
    "every placed one must be there": ({"Deployment shop/a": {"m1", "m2"}, "Deployment shop/b": {"m2", "m3"}}, {}, {"m2"}),
    "apart means where no other is": ({}, {"Deployment shop/a": {"m1"}, "Deployment shop/b": {"m3"}}, {"m2"}),
    "together with one and apart from another": ({"Deployment shop/a": {"m1", "m2"}}, {"Deployment shop/b": {"m1"}}, {"m2"}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_workload_affinity(case: str) -> None:
    together, apart, wanted = CASES[case]
    view = binding(
        DYNAMIC, replicas=30,
        together={name: frozenset(where) for name, where in together.items()},
        apart={name: frozenset(where) for name, where in apart.items()},
    )  # fmt: skip
    decision = schedule(view, CLUSTERS).decision
    assert decision is not None
    assert set(decision.targets) == wanted


def test_what_is_placed_stays_when_another_comes_too_near() -> None:
    view = binding(DYNAMIC, held={"m1": 6}, apart={"Deployment shop/a": frozenset({"m1"})})
    decision = schedule(view, CLUSTERS).decision
    assert decision is not None
    assert decision.targets == {"m1": 6}


def test_a_refusal_names_the_other_workload() -> None:
    outcome = schedule(binding(apart={"Deployment shop/a": frozenset({"m1", "m2", "m3"})}), CLUSTERS)
    assert outcome.error is not None
    assert outcome.error.reason == "NoClusterFit"
    assert outcome.refusals["m2"].detail == "Deployment shop/a of the same anti-affinity group is placed there"
