"""What a snapshot remembers changes no answer: each of a sequence of questions is answered as by clusters that nobody asked before.

The bindings of a sequence have few placements and differ in everything else, so that answers are used again for others.
"""

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from federation.api.cluster import ResourceSummary
from federation.api.placement import Taint
from federation.hub.schedule.decide import decide
from federation.hub.schedule.ledger import answer_json
from federation.interpret import Component, Requirements
from federation.policy.facts import ClusterFacts
from federation.schedule.attempt import Assumed
from federation.schedule.decide import returns, schedule
from federation.schedule.eligible import eligible, refuse
from federation.schedule.record import canonical
from federation.schedule.snapshot import BindingView, ClusterView, Snapshot
from tests.unit.schedule.build import AGGREGATED, DEPLOYMENT, DYNAMIC, binding, on, rule, weighted

NAMES = [f"m{number}" for number in range(6)]
SOME = st.frozensets(st.sampled_from(NAMES), max_size=3)
GOLD = {"clusterAffinity": {"labelSelector": {"matchLabels": {"tier": "gold"}}}}
GROUPS = {"clusterAffinities": [
    {"affinityName": "first", "clusterNames": NAMES[:2]},
    {"affinityName": "second", "clusterNames": NAMES[2:4], "overflowAffinities": [{"affinityName": "more", "clusterNames": NAMES[4:]}]},
]}  # fmt: skip
TOLERANT = {"clusterTolerations": [{"key": "k", "operator": "Exists"}]}
BY_REGION = {"spreadConstraints": [{"spreadByField": "region", "minGroups": 1, "maxGroups": 2}]}
PLACEMENTS: list[dict[str, Any]] = [
    {}, GOLD, DYNAMIC, AGGREGATED | TOLERANT, DYNAMIC | GROUPS, GROUPS, DYNAMIC | BY_REGION, TOLERANT,
    weighted(rule("m0", 3, maxReplicas=4), rule("m1", 1), rule("m4", 2)), {"clusterAffinity": on("m0", "m1", "m2")} | AGGREGATED,
]  # fmt: skip


@st.composite
def clusters(draw: st.DrawFn) -> list[ClusterView]:
    found = []
    for name in NAMES[: draw(st.integers(1, len(NAMES)))]:
        region, pods = draw(st.sampled_from(["", "r0", "r1", "r2"])), draw(st.integers(0, 9))
        found.append(
            ClusterView(
                facts=ClusterFacts(name=name, labels=draw(st.sampled_from([{}, {"tier": "gold"}])), region=region),
                taints=tuple(draw(st.lists(st.sampled_from([Taint(key="k", effect="NoExecute")]), max_size=1))),
                apis=draw(st.sampled_from([DEPLOYMENT, DEPLOYMENT, frozenset()])),
                deleting=draw(st.integers(0, 9)) == 9, abandoned=draw(st.integers(0, 9)) == 9,
                summary=ResourceSummary(allocatable={"pods": str(pods), "cpu": "8"}) if pods else None,
            )
        )  # fmt: skip
    return found


ASKS = st.sampled_from([None, Requirements(resource_request={"cpu": "1"}), Requirements(resource_request={"cpu": "3"})])
PARTS = st.builds(
    lambda asks, replicas: (Component(name="a", replicas=replicas, requirements=asks), Component(name="b", replicas=1)),
    ASKS, st.integers(1, 3),
)  # fmt: skip


@st.composite
def views(draw: st.DrawFn, placements: list[dict[str, Any]]) -> BindingView:
    """One of few placements; everything else is what it is by default, most of the time."""

    def seldom(strategy: st.SearchStrategy[Any], default: Any) -> Any:
        return draw(strategy) if draw(st.integers(0, 3)) == 3 else default

    view = binding(draw(st.sampled_from(placements)), replicas=draw(st.sampled_from([None, 0, 1, 3, 4, 7])))
    peers = st.dictionaries(st.sampled_from(["Deployment shop/a", "Deployment shop/b"]), SOME, max_size=2)
    return replace(
        view, key=draw(st.sampled_from(["shop/web", "shop/api", "shop/x"])), uid=draw(st.sampled_from("uv")),
        kind=seldom(st.just("CronTab"), "Deployment"), requirements=draw(ASKS), components=seldom(PARTS, ()),
        held=seldom(st.dictionaries(st.sampled_from(NAMES), st.integers(0, 4), max_size=4), {}),
        evicting=seldom(SOME, frozenset()), together=seldom(peers, {}), apart=seldom(peers, {}),
        pin=seldom(st.dictionaries(st.sampled_from(NAMES), st.integers(0, 3), max_size=2), {}),
        fresh=seldom(st.just(True), False), observed=seldom(st.sampled_from(["first", "second", "gone"]), ""),
        returning=seldom(st.just(True), False),
    )  # fmt: skip


ASSUMED = st.one_of(
    st.just({}), st.dictionaries(st.sampled_from(NAMES), st.lists(st.tuples(ASKS, st.integers(1, 3)), max_size=2))
)


@settings(max_examples=400, deadline=None)
@given(st.data(), clusters(), st.lists(st.sampled_from(PLACEMENTS), min_size=1, max_size=2), st.booleans())
def test_a_snapshot_that_remembers_answers_as_one_that_was_never_asked(
    data: st.DataObject, members: list[ClusterView], placements: list[dict[str, Any]], forgetful: bool
) -> None:
    known = Snapshot(members)
    if forgetful:
        known._most = 2
    decided: list[BindingView] = []
    for _ in range(data.draw(st.integers(2, 8))):
        view, assumed = data.draw(views(placements)), data.draw(ASSUMED)
        if decided and data.draw(st.booleans()):  # a later decision of one that has one
            view = replace(
                view, previous=data.draw(st.sampled_from(decided)).previous, lines={"m0": "epoch=1 available=9"}
            )
        assert everything(view, known, assumed) == everything(view, list(members), assumed)
        asked = {one.name: refusal for one in members if (refusal := refuse(view, one)) is not None}
        assert list(eligible(view, known).refusals.items()) == list(asked.items()), "as the filters say, one by one"
        decision = schedule(view, known, assumed=assumed).decision
        if decision is not None:
            decided.append(replace(view, previous=decision))


def everything(view: BindingView, members: list[ClusterView] | Snapshot, assumed: Assumed) -> tuple[Any, ...]:
    """All that anybody is told, to the order of names: the record, the error, the trigger, each cluster's verdict."""
    outcome, answer = schedule(view, members, assumed=assumed), decide(view, members, assumed)
    record = outcome.decision.model_dump_json(by_alias=True) if outcome.decision is not None else ""
    return (
        record, canonical(answer_json(answer)), str(outcome.error), outcome.binding, list(outcome.refusals.items()),
        outcome.verdicts, outcome.selection.lines if outcome.selection is not None else [],
        returns(view, members, assumed=assumed),
    )  # fmt: skip
