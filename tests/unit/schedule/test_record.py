"""What a decision was taken from goes to JSON and back without loss, so that a replay decides the same, bit for bit."""

from dataclasses import fields, replace
from typing import Any

import orjson
import pytest

from federation.api.placement import Taint
from federation.hub.schedule.decide import decide
from federation.hub.schedule.ledger import answer_json
from federation.interpret import Component, Requirements
from federation.policy.facts import ClusterFacts
from federation.schedule.record import (
    assumed_from,
    assumed_json,
    binding_from,
    binding_json,
    canonical,
    cluster_from,
    cluster_json,
)
from federation.schedule.snapshot import BindingView, ClusterView
from tests.unit.schedule.build import AGGREGATED, DYNAMIC, binding, member, on, rule, weighted

ASKS = Requirements(resource_request={"cpu": "500m"}, node_selector={"disk": "ssd"}, tolerations=({"key": "a"},))
WEB = binding(
    {**DYNAMIC, "clusterTolerations": [{"key": "k", "operator": "Exists", "tolerationSeconds": 5}]}, requirements=ASKS,
    pin={"m1": 2}, lines={"m1": "health=Healthy epoch=1"}, evicting=frozenset({"m3"}), surge=2,
    together={"Deployment shop/a": frozenset({"m1", "m2"})}, rebalance="2026-01-01T00:00:00Z u",
)  # fmt: skip
CLUSTERS = [
    replace(
        member("m1", taints=(Taint(key="k", effect="NoExecute", time_added="2026-01-01T00:00:00Z"),)), deleting=True
    ),
    replace(
        member("m2"), facts=ClusterFacts(name="m2", labels={"a": "b"}, region="eu", zones=("e1", "e2"), provider="x")
    ),
    member("m3"),
]


def round_trip(view: BindingView) -> BindingView:
    return binding_from(orjson.loads(canonical(binding_json(view))))


def test_every_field_of_the_views_is_written() -> None:
    assert set(binding_json(WEB)) == {one.name for one in fields(BindingView)}
    assert set(cluster_json(CLUSTERS[0])) == {one.name for one in fields(ClusterView)}


def test_views_come_back_as_they_were() -> None:
    assert round_trip(WEB) == WEB
    assert [cluster_from(orjson.loads(canonical(cluster_json(one)))) for one in CLUSTERS] == CLUSTERS
    parts = (Component(name="a", replicas=2, requirements=ASKS), Component(name="b", replicas=1))
    assert round_trip(replace(WEB, components=parts)).components == parts
    taken = {"m1": [(ASKS, 3), (None, 1)]}
    assert assumed_from(orjson.loads(canonical(assumed_json(taken)))) == taken


DECIDED: dict[str, dict[str, Any]] = {
    "by free room": DYNAMIC, "aggregated": AGGREGATED, "by weights": weighted(rule("m1", 1), rule("m3", 2)), "everywhere": {},
    "nowhere": {"clusterAffinity": on("m9")},
    "spread": {**DYNAMIC, "spreadConstraints": [{"spreadByField": "cluster", "minGroups": 1, "maxGroups": 2}]},
}  # fmt: skip


@pytest.mark.parametrize("case", DECIDED)
def test_a_decision_is_taken_again_bit_for_bit_also_the_one_after_it(case: str) -> None:
    view, clusters = binding(DECIDED[case], requirements=ASKS), [member("m1"), member("m2", pods=4), member("m3")]
    again = [cluster_from(orjson.loads(canonical(cluster_json(one)))) for one in clusters]
    for replicas in (6, 9, 3):
        view = replace(view, replicas=replicas)
        first = decide(view, clusters, {})
        assert canonical(answer_json(decide(round_trip(view), again, {}))) == canonical(answer_json(first))
        view = replace(view, previous=first.decision or view.previous)
