"""The scheduling suites: each case handed to `federation.schedule` and `federation.capacity`; only names are translated."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from federation.api.binding import Decision
from federation.api.cluster import ResourceSummary
from federation.api.placement import Placement, SpreadConstraint, StaticClusterWeight, Taint
from federation.capacity.summary import fit, fit_sets
from federation.policy.facts import ClusterFacts
from federation.schedule.affinity import start_index
from federation.schedule.condition import scheduled_condition
from federation.schedule.divide.assign import Candidate, assign, rank
from federation.schedule.divide.dynamic import Room, assign_dynamic, divide_step
from federation.schedule.divide.shares import assign_tiers
from federation.schedule.divide.static import divide_static, static_weights
from federation.schedule.divide.webster import divide_by_weight, spread_by_current, webster
from federation.schedule.errors import ScheduleError, no_clusters, unschedulable
from federation.schedule.plugins import filters, scores
from federation.schedule.snapshot import BindingView, ClusterView
from federation.schedule.spread.constraint import Bound, read
from federation.schedule.spread.groups import Group, select_groups
from federation.schedule.spread.select import choose, select
from federation.schedule.spread.topology import Key, Topology
from federation.schedule.spread.weight import Demand, group_weight
from federation.schedule.triggers import placement_changed

Case = dict[str, Any]
Suite = dict[str, Any]


def _answer(work: Callable[[], Case]) -> Case:
    try:
        return work()
    except ScheduleError as error:
        return {"error": error.code}


def _webster(_suite: Suite, case: Case) -> Case:
    given = case["in"]
    return {
        "seats": webster(
            given["seats"], given["votes"], held=given.get("initial"), descending=given.get("tie") == "desc"
        )
    }


def _divide_by_weight(_suite: Suite, case: Case) -> Case:
    given = case["in"]
    return {
        "replicas": divide_by_weight(
            given["replicas"], given["weights"], held=given.get("held"), uid=given.get("uid") or ""
        )
    }


def _spread_by_current(_suite: Suite, case: Case) -> Case:
    return {"replicas": spread_by_current(case["in"]["total"], case["in"]["current"])}


def _facts(name: str) -> ClusterFacts:
    return ClusterFacts(name=name)


def _static_weight(_suite: Suite, case: Case) -> Case:
    given = case["in"]
    rules = given.get("rules")
    parsed = None if rules is None else [
        StaticClusterWeight.model_validate({"targetCluster": {"clusterNames": rule["clusters"]}, "weight": rule["weight"]}) for rule in rules
    ]  # fmt: skip
    weights = static_weights([_facts(name) for name in given["clusters"]], parsed)
    return {"replicas": divide_static(given["replicas"], weights, uid=given.get("uid") or "")}


def _dynamic_divide(_suite: Suite, case: Case) -> Case:
    given = case["in"]
    rooms = [Room(name, free) for name, free in given["available"]]
    return _answer(lambda: {"replicas": divide_step(given["strategy"], given["target"], rooms)})


def _dynamic_assign(_suite: Suite, case: Case) -> Case:
    given = case["in"]
    rooms = [Room(one["name"], one["allocatable"]) for one in given["candidates"]]
    return _answer(lambda: {"replicas": assign_dynamic(
        given["strategy"], given["replicas"], rooms, previous=given["previous"], fresh=given["mode"] == "Fresh"
    )})  # fmt: skip


def _duplicated(_suite: Suite, case: Case) -> Case:
    candidates = [Candidate(_facts(name)) for name in case["in"]["clusters"]]
    return {"replicas": assign(case["in"]["replicas"], candidates, strategy="Duplicated", previous={})}


_STRATEGIES = {None: "Duplicated", "StaticDefault": "StaticWeight"}


def _assign_replicas(_suite: Suite, case: Case) -> Case | None:
    given = case["in"]
    if given.get("gate_multi_template"):
        return None
    previous = given.get("previous") or {}
    candidates = [
        Candidate(
            _facts(one["name"]), free=one.get("allocatable", 0), has=previous.get(one["name"], 0),
            tier=one.get("tier", 0) if given.get("overflow") else 0,
        )
        for one in given["clusters"]
    ]  # fmt: skip
    workload = given["replicas"] > 0 or given.get("has_requirements")
    strategy = _STRATEGIES.get(given.get("strategy"), given.get("strategy"))

    def work() -> Case:
        replicas = given["replicas"] if workload else None
        shares = assign_tiers(replicas, candidates, strategy=strategy, previous=previous)
        return {"clusters": [{"name": name, "replicas": count} for name, count in shares.items()]}

    return _answer(work)


def _by_name(expected: Case, actual: Case) -> bool:
    """Targets are a map: the order of the reference's list carries no meaning here."""
    if "error" in expected:
        return expected == actual
    listed = [{one["name"]: one["replicas"] for one in answer.get("clusters", [])} for answer in (expected, actual)]
    return listed[0] == listed[1]


def _cluster_sort(_suite: Suite, case: Case) -> Case:
    given = case["in"]
    candidates = [
        Candidate(
            _facts(one["name"]), score=one["score"], free=one["available"] if given.get("use_available", True) else 0,
            tier=one.get("overflow") or 0,
        )
        for one in given["clusters"]
    ]  # fmt: skip
    return {"order": [one.name for one in rank(candidates)]}


def _affinity_start_index(_suite: Suite, case: Case) -> Case:
    return {"index": start_index(case["in"]["terms"], case["in"]["observed"])}


def _placement(given: Case | None) -> Placement | None:
    return (
        None
        if given is None
        else Placement.model_validate({key: value for key, value in given.items() if value is not None})
    )


def _placement_changed(_suite: Suite, case: Case) -> Case:
    given = case["in"]
    placement = _placement(given["placement"])
    assert placement is not None
    return {"changed": placement_changed(placement, _placement(given["applied"]), observed=given.get("observed") or "")}


_SPREAD_STRATEGIES = {None: "Duplicated", "none": "Duplicated", "Divided": "DynamicWeight"}


def _candidates(clusters: Any) -> list[Candidate]:
    return [
        Candidate(_facts(one["name"]), score=one.get("score") or 0, free=one.get("available") or 0) for one in clusters
    ]


def _bound(by: str, given: Case) -> Bound:
    cluster, others = read([_constraint(by, given)])
    return others[0] if others else cluster


def _constraint(by: str, given: Case) -> SpreadConstraint:
    return SpreadConstraint.model_validate(
        {"spreadByField": by, "minGroups": given.get("min"), "maxGroups": given.get("max")}
    )


def _group_score(_suite: Suite, case: Case) -> Case:
    given = case["in"]
    scores = [
        group_weight(
            [(score, available) for score, available in group], duplicated=given["kind"] == "Duplicated",
            replicas=given["replicas"], least=given["min_groups"], cluster_least=given["cluster_min"],
        )
        for group in given["groups"]
    ]  # fmt: skip
    return {"scores": scores, "winner": scores.index(max(scores))}


def _select_by_cluster(_suite: Suite, case: Case) -> Case:
    given = case["in"]
    strategy = _SPREAD_STRATEGIES.get(given.get("strategy"), given.get("strategy"))

    def work() -> Case:
        chosen = select(
            _candidates(given["clusters"]), [_constraint("cluster", given)], strategy=strategy,
            replicas=given.get("replicas") or 0,
        )  # fmt: skip
        return {"selected": [one.name for one in chosen.clusters]}

    return _answer(work)


def _select_groups(_suite: Suite, case: Case) -> Case:
    given = case["in"]
    groups = [Group(one["name"], one["value"], one["weight"]) for one in given["groups"]]
    found = select_groups(groups, least=given["min"], most=given["max"], target=given["target"])
    return {"selected": None if found is None else [group.name for group in found]}


def _select_by_region(_suite: Suite, case: Case) -> Case:
    given = case["in"]
    region, cluster = _bound("region", given["region"]), _bound("cluster", given["cluster"])
    regions = given["regions"]
    candidates = rank([one for name in regions for one in _candidates(regions[name]["clusters"])])
    known = Topology(
        keys=(Key(region, {name: Group(name, len(one["clusters"]), one["score"]) for name, one in regions.items()}),),
        clusters=tuple(candidates),
        places={one["name"]: ((name,),) for name in regions for one in regions[name]["clusters"]},
    )

    def work() -> Case:
        demand = Demand(replicas=0, duplicated=True, needs_room=False)
        chosen = choose(known, cluster, demand, candidates=candidates)
        return {"selected": [one.name for one in chosen.clusters]}

    return _answer(work)


def _select_clusters(_suite: Suite, case: Case) -> Case:
    given = case["in"]
    tiers = given.get("overflow_tier") or {}
    candidates = rank([replace(one, tier=tiers.get(one.name, 0)) for one in _candidates(given["clusters"])])
    constraints = [] if given["spread"] is None else [_constraint("cluster", given["spread"])]

    def work() -> Case:
        chosen = select(candidates, constraints, strategy="Duplicated", replicas=0)
        return {"selected": sorted(one.name for one in chosen.clusters)}

    return _answer(work)


def _same_set(expected: Case, actual: Case) -> bool:
    if "selected" not in expected or "selected" not in actual:
        return expected == actual
    return sorted(expected["selected"]) == sorted(actual["selected"])


_ERRORS = {
    "fit": lambda: no_clusters("none fits"),
    "unschedulable": lambda: unschedulable("too small"),
    "plain": lambda: ScheduleError("plain", "SchedulerError", "something else"),
}


def _schedule_condition(_suite: Suite, case: Case) -> Case:
    outcome = case["in"]["outcome"]
    kinds = [one.rpartition(":")[2] for one in outcome]
    verdict = scheduled_condition(
        [_ERRORS[kind]() for kind in kinds], aggregate=any(one.startswith("aggregate:") for one in outcome)
    )
    return {"status": verdict.status, "reason": verdict.reason, "dropped": verdict.dropped}


_SERVED_LATER = {"WorkloadAffinity", "WorkloadAntiAffinity"}


def _filter_plugins(_suite: Suite, case: Case) -> Case | None:
    given = case["in"]
    if given["plugin"] in _SERVED_LATER:
        return None
    binding, cluster = given["binding"], given["cluster"]
    placement: Case = {key: binding[key] for key in ("clusterAffinity", "clusterAffinities") if binding.get(key)}
    tolerations = binding.get("clusterTolerations") or binding.get("tolerations")
    if tolerations:
        placement["clusterTolerations"] = tolerations
    if binding.get("spreadBy"):
        placement["spreadConstraints"] = [{"spreadByField": field} for field in binding["spreadBy"]]
    targets = dict.fromkeys(binding.get("clusters") or (), 0)
    view = BindingView(
        key="case", uid="u", api_version=binding.get("apiVersion") or "apps/v1", kind=binding.get("kind") or "Deployment",
        placement=Placement.model_validate(placement), observed=binding.get("observed") or "",
        previous=Decision(epoch=1, trigger="Created", inputs="{}", targets=targets), evicting=frozenset(binding.get("evictingFrom") or ()),
    )  # fmt: skip
    member = ClusterView(
        facts=ClusterFacts(
            name=cluster.get("name") or "cluster1", labels=cluster.get("labels") or {}, region=cluster.get("region") or "",
            zones=tuple(cluster.get("zones") or ()), provider=cluster.get("provider") or "",
        ),
        taints=tuple(Taint.model_validate(taint) for taint in cluster.get("taints") or ()),
        apis=frozenset((one["groupVersion"], kind) for one in cluster.get("apis") or () for kind in one["kinds"]),
    )  # fmt: skip
    score = next((plugin for plugin in scores() if plugin.name == given["plugin"]), None)
    if score is not None and "score" in case["out"]:
        return {"score": score.score(view, member)}
    plugin = next((one for one in filters() if one.name == given["plugin"]), None)
    if plugin is None:
        return None
    if "score" in case["out"]:
        return {"score": 0}
    return {"pass": plugin.refuse(view, member) is None}


def _general_estimator(_suite: Suite, case: Case) -> Case:
    given = case["in"]
    summary = ResourceSummary.model_validate(given["summary"]) if given["summary"] is not None else None
    assumed = [(one.get("request"), one["replicas"]) for one in given.get("assumed") or ()]
    return {"replicas": fit(summary, given.get("request"), assumed=assumed)}


def _summary_component_sets(_suite: Suite, case: Case) -> Case:
    given = case["in"]
    components = [(one.get("request"), one["replicas"]) for one in given["components"]]
    assumed = [(one.get("request"), one["replicas"]) for one in given.get("assumed") or ()]
    return {"sets": fit_sets(ResourceSummary.model_validate(given["summary"]), components, assumed=assumed)}


def _one_of(expected: Case, actual: Case) -> bool:
    if "any_of" in expected:
        return actual["replicas"] in expected["any_of"]
    return expected == actual


SUITES: dict[str, Callable[[Suite, Case], Any]] = {
    "webster": _webster,
    "divide_by_weight": _divide_by_weight,
    "spread_by_current_replicas": _spread_by_current,
    "static_weight": _static_weight,
    "dynamic_divide": _dynamic_divide,
    "dynamic_assign": _dynamic_assign,
    "duplicated": _duplicated,
    "assign_replicas": _assign_replicas,
    "cluster_sort": _cluster_sort,
    "affinity_start_index": _affinity_start_index,
    "group_score": _group_score,
    "select_by_cluster": _select_by_cluster,
    "select_groups": _select_groups,
    "select_by_region": _select_by_region,
    "select_clusters": _select_clusters,
    "placement_changed": _placement_changed,
    "schedule_condition": _schedule_condition,
    "filter_plugins": _filter_plugins,
    "general_estimator": _general_estimator,
    "summary_component_sets": _summary_component_sets,
}

COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "spread_by_current_replicas": _one_of,
    "assign_replicas": _by_name,
    "select_clusters": _same_set,
}
