"""Decisions from snapshots: filters, shares, stickiness, triggers and their explanation."""

from dataclasses import replace

import pytest

from federation.api.cluster import ResourceSummary
from federation.api.placement import Placement, Taint
from federation.interpret.requirements import Requirements
from federation.policy.facts import ClusterFacts
from federation.schedule.decide import schedule
from federation.schedule.plugins import filters
from federation.schedule.snapshot import BindingView, ClusterView
from federation.schedule.triggers import Trigger, trigger

DEPLOYMENT = frozenset({("apps/v1", "Deployment")})


def member(name: str, *, pods: int = 100, **fields: object) -> ClusterView:
    summary = ResourceSummary(allocatable={"pods": str(pods), "cpu": "100"})
    return ClusterView(facts=ClusterFacts(name=name), apis=DEPLOYMENT, summary=summary, **fields)  # type: ignore[arg-type]


def binding(placement: dict | None = None, *, replicas: int | None = 6, **fields: object) -> BindingView:
    return BindingView(
        key="shop/web", uid="uid", api_version="apps/v1", kind="Deployment", namespace="shop", replicas=replicas,
        placement=Placement.model_validate(placement or {}), **fields,
    )  # type: ignore[arg-type]  # fmt: skip


def weights(**by_name: int) -> dict:
    rules = [{"targetCluster": {"clusterNames": [name]}, "weight": weight} for name, weight in by_name.items()]
    return {"replicaScheduling": {"replicaSchedulingType": "Divided", "weightPreference": {"staticWeightList": rules}}}


AGGREGATED = {"replicaScheduling": {"replicaSchedulingType": "Divided", "replicaDivisionPreference": "Aggregated"}}
DYNAMIC = {
    "replicaScheduling": {
        "replicaSchedulingType": "Divided",
        "weightPreference": {"dynamicWeight": "AvailableReplicas"},
    }
}
THREE = [member("m1"), member("m2"), member("m3")]


def test_static_weights_divide_and_the_decision_records_its_inputs() -> None:
    outcome = schedule(binding(weights(m1=1, m2=2, m3=3)), THREE)
    assert outcome.decision is not None
    assert outcome.decision.targets == {"m1": 1, "m2": 2, "m3": 3}
    assert (outcome.decision.epoch, outcome.decision.trigger) == (1, Trigger.CREATED)
    assert '"replicas":6' in outcome.decision.inputs


def test_without_replica_scheduling_every_cluster_gets_all_replicas() -> None:
    outcome = schedule(binding(), THREE)
    assert outcome.decision is not None
    assert outcome.decision.targets == {"m1": 6, "m2": 6, "m3": 6}


def test_an_object_without_replicas_goes_everywhere_with_zero() -> None:
    outcome = schedule(binding(replicas=None), THREE)
    assert outcome.decision is not None
    assert outcome.decision.targets == {"m1": 0, "m2": 0, "m3": 0}


def test_scaled_to_zero_the_objects_stay_where_they_are() -> None:
    first = schedule(binding(weights(m1=1, m2=1), replicas=4), THREE).decision
    outcome = schedule(binding(weights(m1=1, m2=1), replicas=0, previous=first), THREE)
    assert outcome.decision is not None
    assert outcome.decision.targets == {"m1": 0, "m2": 0}


def test_what_another_binding_takes_is_not_spent_twice() -> None:
    asks = Requirements(resource_request={"cpu": "1"})
    tight = [member("m1", pods=5), member("m2", pods=3)]
    alone = schedule(binding(AGGREGATED, replicas=5, requirements=asks), tight)
    assert alone.decision is not None
    assert alone.decision.targets == {"m1": 5}
    after = schedule(binding(AGGREGATED, replicas=3, requirements=asks), tight, assumed={"m1": [(asks, 4)]})
    assert after.decision is not None
    assert after.decision.targets == {"m2": 3}


def test_what_does_not_fit_is_an_error_with_numbers_and_leaves_the_decision_alone() -> None:
    outcome = schedule(binding(AGGREGATED, replicas=1000), THREE)
    assert outcome.decision is None
    assert outcome.error is not None
    assert outcome.error.reason == "Unschedulable"
    assert "m1 100" in outcome.error.message


def test_refusals_are_grouped_by_plugin_with_at_most_ten_names() -> None:
    crowd = [member(f"m{number:02}") for number in range(15)]
    outcome = schedule(binding({"clusterAffinity": {"clusterNames": ["m00"]}}), crowd)
    assert outcome.decision is not None
    assert outcome.decision.refused == [
        "ClusterAffinity 14: " + ", ".join(f"m{number:02}" for number in range(1, 11)) + ", ..."
    ]


def test_no_cluster_that_fits_says_how_many_and_why() -> None:
    tainted = [replace(one, taints=(Taint(key="k", effect="NoExecute"),)) for one in THREE]
    outcome = schedule(binding(), tainted)
    assert outcome.error is not None
    assert outcome.error.message == "0/3 clusters are available: 3 cluster(s) had untolerated taint"


def test_a_leaving_cluster_is_never_a_target() -> None:
    outcome = schedule(binding(), [member("m1", deleting=True), member("m2")])
    assert outcome.decision is not None
    assert set(outcome.decision.targets) == {"m2"}


def test_the_explanation_has_a_row_for_every_cluster_with_its_share() -> None:
    outcome = schedule(binding({**weights(m1=1), "clusterAffinity": {"clusterNames": ["m1"]}}), THREE)
    rows = {verdict.cluster: verdict for verdict in outcome.verdicts}
    assert rows["m1"].share == 6
    assert rows["m1"].ok
    assert rows["m2"].refusal is not None
    assert "clusterNames" in rows["m2"].refusal.detail


def decided(placement: dict, clusters: list[ClusterView], replicas: int = 6) -> BindingView:
    view = binding(placement, replicas=replicas)
    return replace(view, previous=schedule(view, clusters).decision)


TRIGGERS = {
    "nothing changed": (lambda view: view, THREE, None),
    "the number changed": (lambda view: replace(view, replicas=7), THREE, Trigger.REPLICAS_CHANGED),
    "the requirements changed": (
        lambda view: replace(view, requirements=Requirements(node_selector={"a": "b"})),
        THREE,
        Trigger.REQUIREMENTS_CHANGED,
    ),
    "the policy changed": (
        lambda view: replace(view, placement=Placement.model_validate(AGGREGATED)),
        THREE,
        Trigger.PLACEMENT_CHANGED,
    ),
    "the template was made anew": (lambda view: replace(view, uid="other"), THREE, Trigger.CREATED),
    "a target left": (lambda view: view, THREE[:2], Trigger.CLUSTER_GONE),
    "a cluster joined": (lambda view: view, [*THREE, member("m4")], None),
    "a target was tainted": (
        lambda view: view,
        [replace(THREE[0], taints=(Taint(key="k", effect="NoSchedule"),)), *THREE[1:]],
        None,
    ),
}


@pytest.mark.parametrize("name", TRIGGERS)
def test_a_divided_workload_is_decided_anew_only_for_a_named_reason(name: str) -> None:
    change, clusters, wanted = TRIGGERS[name]
    assert trigger(change(decided(DYNAMIC, THREE)), clusters) == wanted


def test_a_duplicated_workload_follows_a_cluster_that_joins() -> None:
    assert trigger(decided({}, THREE), [*THREE, member("m4")]) == Trigger.CLUSTER_ELIGIBLE


def test_every_filter_names_an_event_that_can_lift_its_refusal() -> None:
    assert all(plugin.events for plugin in filters())
