"""The nearest fix: every suggestion is applied, and the cluster takes the work."""

from dataclasses import replace
from typing import Any

import pytest

from federation.api.placement import Taint
from federation.interpret import Requirements
from federation.policy.facts import ClusterFacts
from federation.schedule import fixes
from federation.schedule.attempt import attempt
from federation.schedule.eligible import refuse
from federation.schedule.fixes import first_fixes, nearest
from federation.schedule.snapshot import BindingView, ClusterView
from tests.unit.schedule.build import AGGREGATED, DYNAMIC, binding, member, on


def placed_at(name: str, view: BindingView, clusters: list[ClusterView]) -> bool:
    return name in attempt(replace(view, fresh=True), clusters, {}).shares


def selecting(*expressions: dict[str, Any], **labels: str) -> dict[str, Any]:
    return {"labelSelector": {"matchLabels": labels, "matchExpressions": list(expressions)}}


def term(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": operator, "values": list(values)}


NO_SCHEDULE, VALUED = Taint(key="maintenance", effect="NoSchedule"), Taint(key="team", value="db", effect="NoExecute")
EU = replace(member("m2"), facts=ClusterFacts(name="m2", region="eu", zones=("eu-1",), labels={"old": "yes"}))
CASES: dict[str, tuple[dict[str, Any], ClusterView, list[str]]] = {
    "a cluster that is not named": ({"clusterAffinity": on("m1")}, member("m2"), ["add m2 to clusterNames"]),
    "a cluster that is excluded": ({"clusterAffinity": {"exclude": ["m2"]}}, member("m2"), ["take m2 out of exclude"]),
    "a label is missing": ({"clusterAffinity": selecting(tier="gold")}, member("m2"), ["label the Cluster: tier=gold"]),
    "several requirements on labels": (
        {"clusterAffinity": selecting(term("a", "In", "x", "y"), term("b", "Exists"), term("old", "DoesNotExist"))},
        EU, ["label the Cluster: a=x b=true old-"],
    ),
    "another region": (
        {"clusterAffinity": {"fieldSelector": {"matchExpressions": [term("region", "In", "us")]}}},
        EU, ["add eu to the values of fieldSelector region In"],
    ),
    "a zone that is left out": (
        {"clusterAffinity": {"fieldSelector": {"matchExpressions": [term("zone", "NotIn", "eu-1", "us-1")]}}},
        EU, ["take eu-1 out of the values of fieldSelector zone NotIn"],
    ),
    "a taint": ({}, member("m2", taints=(NO_SCHEDULE,)), ["add to clusterTolerations: {key: maintenance, operator: Exists, effect: NoSchedule}"]),
    "two taints": (
        {}, member("m2", taints=(NO_SCHEDULE, VALUED)),
        ["add to clusterTolerations: {key: maintenance, operator: Exists, effect: NoSchedule}",
         "add to clusterTolerations: {key: team, operator: Equal, value: db, effect: NoExecute}"],
    ),
    "a region that nobody gave it": ({"spreadConstraints": [{"spreadByField": "region"}]}, member("m2"), ["set spec.region of the Cluster"]),
    "everything at once": (
        {"clusterAffinity": {**on("m1"), **selecting(tier="gold"), "exclude": ["m2"]}, "spreadConstraints": [{"spreadByField": "zone"}]},
        member("m2", taints=(NO_SCHEDULE,)),
        ["take m2 out of exclude", "label the Cluster: tier=gold", "add m2 to clusterNames",
         "add to clusterTolerations: {key: maintenance, operator: Exists, effect: NoSchedule}", "set spec.zones of the Cluster"],
    ),
    "another affinity group's clusters": (
        {"clusterAffinities": [{"affinityName": "home", **on("m1")}]}, member("m2"), ["add m2 to clusterNames"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_suggested_changes_let_the_cluster_take_the_work_and_none_is_too_much(case: str) -> None:
    placement, cluster, wanted = CASES[case]
    m1 = replace(member("m1"), facts=ClusterFacts(name="m1", region="eu", zones=("eu-9",), labels={"tier": "gold"}))
    view, clusters = binding(placement), [m1, cluster]
    assert not placed_at("m2", view, clusters)
    fixes = nearest(view, clusters, "m2")
    assert ([one.text for one in fixes.changes], fixes.stuck) == (wanted, "")
    before = (view, cluster)
    for change in fixes.changes:
        refusal = refuse(*before)
        assert refusal is not None, "without this change it is still refused"
        assert refusal.plugin == change.refusal
        before = (change.binding, change.cluster)
    assert placed_at("m2", before[0], [m1, before[1]])


@pytest.mark.parametrize("strategy", [DYNAMIC, AGGREGATED], ids=["by free room", "aggregated"])
def test_a_pod_that_is_too_large_is_told_what_would_fit(strategy: dict[str, Any]) -> None:
    small = member("m2")
    assert small.summary is not None
    small = replace(small, summary=small.summary.model_copy(update={"allocatable": {"pods": "100", "cpu": "9500m"}}))
    view = binding({**strategy, "clusterAffinity": on("m2")}, replicas=1, requirements=Requirements(resource_request={"cpu": "12"}))  # fmt: skip
    (change,) = nearest(view, [small], "m2").changes
    assert change.text == "lower the requests of a pod to what is free there: cpu 9500m (now 12)"
    assert placed_at("m2", change.binding, [small])


SHORT: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "a resource of which nothing is left": ({"pods": "100", "cpu": "9500m", "memory": "0"}, {}),
    "pods": ({"pods": "0", "cpu": "9500m"}, {}),
    "what others take that are on their way": (
        {"pods": "100", "cpu": "9500m"}, {"m2": [(Requirements(resource_request={"cpu": "9"}), 1)]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SHORT)
def test_lower_requests_are_not_suggested_where_they_would_not_help_for_lack_of(case: str) -> None:
    allocatable, assumed = SHORT[case]
    small = member("m2")
    assert small.summary is not None
    small = replace(small, summary=small.summary.model_copy(update={"allocatable": allocatable}))
    asks = Requirements(resource_request={"cpu": "12", "memory": "1Gi"} if "memory" in allocatable else {"cpu": "12"})
    view = binding({**AGGREGATED, "clusterAffinity": on("m2")}, replicas=1, requirements=asks)
    assert nearest(view, [small], "m2", assumed=assumed).changes == ()


def test_no_more_fixes_are_computed_than_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    clusters = [member(f"m{number}") for number in range(50)]
    view = binding({"clusterAffinity": on("m0")})
    asked: list[str] = []
    monkeypatch.setattr(fixes, "attempt", lambda *given: asked.append("a division") or attempt(*given))
    names = [one.name for one in clusters[1:]]
    found = first_fixes(view, clusters, names, most=5)
    assert {name: [one.text for one in changes] for name, changes in found.items()} == {
        name: [f"add {name} to clusterNames"] for name in names[:5]
    }
    assert len(asked) <= 6


def test_a_cluster_that_would_be_refused_all_the_same_is_passed_over() -> None:
    view, clusters = (
        binding({"clusterAffinity": on("m0")}),
        [member("m0"), ClusterView(facts=ClusterFacts(name="m1")), member("m2")],
    )
    assert nearest(view, clusters, "m1").stuck
    assert list(first_fixes(view, clusters, ["m1", "m2"], most=1)) == ["m2"]


def test_what_nothing_on_the_hub_can_lift_is_said() -> None:
    without = ClusterView(facts=ClusterFacts(name="m2"))
    fixes = nearest(binding(), [member("m1"), without], "m2")
    assert fixes.changes == ()
    assert fixes.stuck.startswith("APIEnablement: apps/v1 Deployment is not in its API list; install the kind")


def test_a_cluster_that_passes_needs_no_fix() -> None:
    assert nearest(binding(), [member("m1")], "m1").changes == ()
