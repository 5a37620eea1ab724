"""What a change of a policy would do to what is placed: which copies go or shrink, and when that is worth a word."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from federation.admission.impact import SHOWN, Concerned, Loss, Surroundings, losses, told, touched
from federation.admission.review import WARNING_LIMIT
from federation.api.placement import Taint
from federation.hub.brake_window import Limits
from federation.hub.policies import Policy, awaiting, judge
from federation.hub.views import binding_view
from federation.schedule.decide import schedule
from federation.schedule.rehearse import rehearse
from federation.schedule.snapshot import ClusterView
from tests.e2e.manifests import API, aggregated, config_map, deployment, on, policy, selector, weights
from tests.unit.schedule.build import member

Manifest = dict[str, Any]
APIS = frozenset({("apps/v1", "Deployment"), ("v1", "ConfigMap")})
CLUSTERS = tuple(replace(member(f"member{number}", pods=1000), apis=APIS) for number in (1, 2, 3))


def made(name: str = "p", *selectors: Manifest, generation: int = 1, place: str | None = "shop", **spec: Any) -> Policy:
    found = policy(name, place, *(selectors or (selector(), selector("ConfigMap", api="v1"))), **spec)
    found["metadata"] |= {"uid": name, "generation": generation, "creationTimestamp": "2026-08-01T09:00:00Z"}
    return judge(found)


def placed(template: Manifest, by: Policy, clusters: Sequence[ClusterView] = CLUSTERS, **spec: Any) -> Manifest:
    """The binding of a template that a policy claims, decided."""
    template["metadata"] |= {"uid": f"t-{template['metadata']['name']}", "creationTimestamp": "2026-08-01T10:00:00Z"}
    metadata = template["metadata"]
    resource = {
        "apiVersion": template["apiVersion"],
        "kind": template["kind"],
        "namespace": "shop",
        "name": metadata["name"],
    }
    reference = {"kind": by.facts.kind, "namespace": by.facts.namespace, "name": by.facts.name, "uid": by.facts.uid}
    binding: Manifest = {
        "apiVersion": API, "kind": "ResourceBinding",
        "metadata": {
            "name": metadata["name"], "namespace": "shop", "uid": f"b-{metadata['name']}", "ownerReferences": [{"uid": metadata["uid"]}],
        },
        "spec": {
            "resource": {**resource, "uid": metadata["uid"]}, "policy": {key: value for key, value in reference.items() if value}, **spec,
        },
    }  # fmt: skip
    decision = schedule(binding_view(binding, template, by), clusters).decision
    assert decision is not None
    return {**binding, "status": {"decision": decision.model_dump(by_alias=True, exclude_none=True, mode="json")}}


def lost(
    before: Policy,
    *after: Policy,
    templates: Sequence[Manifest] = (),
    clusters: Sequence[ClusterView] = CLUSTERS,
    **spec: Any,
) -> list[Loss]:
    """What the templates that one policy placed give up, once there are others."""
    around = Surroundings(clusters=clusters, priority_of_class=lambda _name: 0, peers_of=lambda _binding: [], now=0.0)
    bindings = [
        (placed(template, before, **spec), template) for template in templates or [deployment("web", "shop", 10)]
    ]
    found = [
        touched(Concerned(binding=binding, template=template, policies=after), around) for binding, template in bindings
    ]
    asked = [one for one in found if one is not None]
    return list(losses(rehearse([one.waiting for one in asked], clusters), asked))


M1, M2, BOTH = (
    made(placement=on(*names, **aggregated())) for names in (("member1",), ("member2",), ("member1", "member2"))
)
LAZY = {"activationPreference": "Lazy"}


def lazy(generation: int, where: str) -> Policy:
    return made(placement=on(where), generation=generation, **LAZY)


DONE: dict[str, tuple[Policy, tuple[Policy, ...], Manifest, list[str]]] = {
    "an edit of the placement moves it": (M1, (M2,), {}, ["Deployment shop/web: member1 10 -> 0, member2 0 -> 10"]),
    "other weights shrink a copy": (
        made(placement=weights(member1=1, member2=1)), (made(placement=weights(member1=1, member2=4)),), {},
        ["Deployment shop/web: member1 5 -> 2, member2 5 -> 8"],
    ),
    "one cluster fewer for what goes everywhere": (
        made(placement=on("member1", "member2")), (made(placement=on("member1")),), {},
        ["Deployment shop/web: member2 10 -> 0"],
    ),
    "one cluster more takes nothing away": (made(placement=on("member1")), (made(placement=on("member1", "member2")),), {}, []),
    "an edit that leaves the placement alone": (M1, (made(placement=on("member1", **aggregated()), priority=7),), {}, []),
    "a placement that no cluster satisfies: what is placed stays": (M1, (made(placement=on("member9")),), {}, []),
    "a deleted policy without another one: what is placed stays": (M1, (), {}, []),
    "a deleted policy whose objects another one takes": (
        M1, (made("q", placement=on("member2", **aggregated())),), {}, ["Deployment shop/web: member1 10 -> 0, member2 0 -> 10"],
    ),
    "a policy that no longer selects it lets it go": (M1, (made("p", selector(name="other"), placement=on("member2")),), {}, []),
    "a policy that lets it go to another one": (
        M1, (made("p", selector(name="other"), placement=on("member1")), made("q", placement=on("member3", **aggregated()))), {},
        ["Deployment shop/web: member1 10 -> 0, member3 0 -> 10"],
    ),
    "a policy that takes it by name": (
        M1, (M1, made("q", selector(name="web"), placement=on("member2", **aggregated()), preemption="Always", priority=9)), {},
        ["Deployment shop/web: member1 10 -> 0, member2 0 -> 10"],
    ),
    "a policy that would take it once its overrides are there": (
        M1,
        (M1, awaiting(made("q", selector(name="web"), placement=on("member2"), preemption="Always", priority=9, dependentOverrides=["o"]), ())),
        {}, [],
    ),
    "an edit of a lazy policy waits": (lazy(1, "member1"), (lazy(2, "member2"),), {}, []),
    "an edit of an unserved policy does nothing": (M1, (made(placement=on("member2"), propagateDeps=True),), {}, []),
    "scheduling is suspended": (M1, (made(placement=on("member2"), suspension={"scheduling": True}),), {}, []),
    "scheduling goes on again": (
        M1, (M2,), {"suspension": {"scheduling": True}}, ["Deployment shop/web: member1 10 -> 0, member2 0 -> 10"],
    ),
    "what leaves a cluster is kept there": (
        made(placement=on("member1")), (made(placement=on("member2"), preserveResourcesOnDeletion=True),), {}, [],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", DONE)
def test_what_a_change_does_to_a_workload(case: str) -> None:
    before, after, spec, texts = DONE[case]
    if before.lazy:
        spec = {"policy": {"kind": "PropagationPolicy", "namespace": "shop", "name": "p", "uid": "p", "generation": 1}}
    assert [one.text for one in lost(before, *after, **spec)] == texts


def test_copies_and_replicas_are_counted_as_the_brake_counts_writes() -> None:
    (loss,) = lost(made(placement=on("member1", "member2", "member3")), made(placement=on("member1")))
    assert (loss.copies, loss.replicas) == (2, 20)
    (loss,) = lost(made(placement=weights(member1=1, member2=1)), made(placement=weights(member1=4, member2=1)))
    assert (loss.copies, loss.replicas) == (1, 3)


def test_an_object_without_replicas_is_deleted_and_created() -> None:
    (loss,) = lost(made(placement=on("member1")), made(placement=on("member2")), templates=[config_map("app", "shop")])
    assert loss == Loss(copies=1, replicas=0, text="ConfigMap shop/app: member1 deleted, member2 created")


def test_workloads_that_move_together_do_not_take_the_same_room() -> None:
    tight = (CLUSTERS[0], replace(member("member2", pods=15), apis=APIS))
    templates = [deployment(name, "shop", 10) for name in ("web", "api")]
    found = lost(M1, M2, templates=templates, clusters=tight)
    assert [one.text for one in found] == ["Deployment shop/api: member1 10 -> 0, member2 0 -> 10"]


def test_a_workload_follows_those_that_it_is_placed_with() -> None:
    """The new placement allows both clusters; the other one of its group is on member2."""
    group = {"affinityGroup": "group=a"}
    asked = {"workloadAffinity": {"affinity": {"groupByLabelKey": "group"}}}
    template, other = deployment("web", "shop", 10), deployment("api", "shop", 1)
    for one in (template, other):
        one["metadata"]["labels"] = {"group": "a"}
    binding = placed(template, M1)
    peer = placed(other, M2, workloadAffinityGroups=group)
    after = made(placement={**on("member1", "member2", **aggregated()), **asked})
    around = Surroundings(clusters=CLUSTERS, priority_of_class=lambda _: 0, peers_of=lambda _: [peer], now=0.0)
    found = touched(Concerned(binding=binding, template=template, policies=[after]), around)
    assert found is not None
    assert found.waiting.view.together == {"Deployment shop/api": frozenset({"member2"})}
    assert found.waiting.view.apart == {}


def test_a_toleration_that_is_taken_away_evicts() -> None:
    tainted = (replace(CLUSTERS[0], taints=(Taint(key="broken", effect="NoExecute"),)), *CLUSTERS[1:])
    tolerating = on("member1", "member2", clusterTolerations=[{"key": "broken", "operator": "Exists"}])
    before, after = (
        made(placement={**tolerating, **aggregated()}),
        made(placement=on("member1", "member2", **aggregated())),
    )
    binding = placed(template := deployment("web", "shop", 10), before, tainted[:1])
    around = Surroundings(clusters=tainted, priority_of_class=lambda _: 0, peers_of=lambda _: [], now=0.0)
    found = touched(Concerned(binding=binding, template=template, policies=[after]), around)
    assert found is not None
    assert found.waiting.view.evicting == {"member1"}
    (loss,) = losses(rehearse([found.waiting], tainted), [found])
    assert loss.text == "Deployment shop/web: member1 10 -> 0, member2 0 -> 10"


def test_a_workload_of_which_nothing_is_known_to_be_placed_is_left_out() -> None:
    template = deployment("web", "shop", 10)
    binding = {**placed(template, M1), "status": {}}
    around = Surroundings(clusters=CLUSTERS, priority_of_class=lambda _: 0, peers_of=lambda _: [], now=0.0)
    assert touched(Concerned(binding=binding, template=template, policies=[M2]), around) is None


# --- what is said ------------------------------------------------------------------------------------------------------


def many(count: int) -> list[Loss]:
    return [
        Loss(
            copies=1,
            replicas=number,
            text=f"Deployment shop/w{number:02}: member1 {number} -> 0, member2 0 -> {number}",
        )
        for number in range(1, count + 1)
    ]


def said(found: Sequence[Loss], *, looked_at: int = 100, managed: int = 100, **limits: Any) -> tuple[str, ...]:
    return told(found, looked_at=looked_at, concerned=100, limits=Limits(**limits), managed=managed)


def test_what_the_brake_lets_pass_at_once_is_not_worth_a_word() -> None:
    assert said(many(10)) == ()
    assert said(many(5), managed=0) == ()
    assert said([]) == ()


def test_more_than_that_is_a_plan_totals_first_then_the_biggest_then_what_to_do() -> None:
    lines = said(many(11))
    assert lines[0] == (
        "11 copies with 66 replicas of 11 workloads go or shrink with this change; the brake lets 10 pass in 60 s and holds the rest"
        " until it is approved"
    )
    assert lines[1] == "Deployment shop/w11: member1 11 -> 0, member2 0 -> 11"
    assert lines[SHOWN + 1] == "and 6 more"
    assert "fedctl get held" in lines[-1]
    assert "fedctl approve" in lines[-1]
    assert len(lines) == SHOWN + 3


@pytest.mark.parametrize(
    ("managed", "objects", "percent", "told"), [(0, 5, 10.0, True), (0, 6, 0.0, False), (60, 5, 10.0, False)]
)
def test_the_limit_is_that_of_the_brake(managed: int, objects: int, percent: float, told: bool) -> None:
    assert bool(said(many(6), managed=managed, objects=objects, percent=percent)) is told


def test_what_was_not_looked_at_in_time_is_said() -> None:
    (line,) = said(many(2), looked_at=40)
    assert line.startswith("40 of 100 workloads could be looked at in time: 2 copies of them would go or shrink")
    headline = said(many(99), looked_at=99)[0]
    assert headline.startswith("at least 99 copies with 4950 replicas of 99 workloads go or shrink")
    assert "99 of 100 workloads could be looked at in time" in headline


def test_the_lines_that_matter_fit_into_a_warning() -> None:
    huge = [Loss(copies=100_000, replicas=10**7, text="Deployment " + "x" * 500) for _ in range(100_000)]
    lines = told(huge, looked_at=100_000, concerned=200_000, limits=Limits(), managed=10**6)
    assert all(len(line) <= WARNING_LIMIT for line in (lines[0], lines[-2], lines[-1]))
