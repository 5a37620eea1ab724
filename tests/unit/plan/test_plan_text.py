"""A plan for people: one headline, one block an object, equal differences told once."""

from federation.cli.plan_text import as_json, as_markdown, as_text, headline
from federation.hub.held import HeldChange
from federation.plan.changes import Change, Effect, Field
from federation.plan.outcome import Plan, Workload

IMAGE = Field("spec.template.spec.containers[app].image", "app:1", "app:2")


def change(cluster: str, effect: Effect, *fields: Field, replicas: tuple[int, int] | None = None) -> Change:
    return Change(
        cluster=cluster, api_version="apps/v1", kind="Deployment", namespace="shop", name="web", effect=effect, fields=fields,
        replicas=replicas,
    )  # fmt: skip


def workload(*problems: str) -> Workload:
    name = "PropagationPolicy shop/web"
    targets = ({"member1": 2}, {"member2": 2})
    return Workload(
        object="Deployment shop/web", policy=("", name), targets=targets, why="PlacementChanged", problems=problems
    )


HELD = HeldChange(
    plan="p1",
    change="c1",
    what="delete",
    cluster="member1",
    object="Deployment shop/web",
    cause="a policy moved it",
    since="",
)


def test_a_plan_of_nothing_says_so() -> None:
    plan = Plan(workloads=(), changes=())
    assert (plan.empty, headline(plan)) == (True, "Nothing changes in any cluster.")


def test_the_headline_counts_by_what_happens_and_says_what_is_stopped() -> None:
    plan = Plan(
        workloads=(workload("member2: AlreadyExists"),), changes=(change("member2", Effect.CREATE),), held=(HELD,),
        after_approval=(change("member1", Effect.DELETE),),
    )  # fmt: skip
    assert headline(plan) == (
        "2 objects in 2 clusters: 1 created, 1 deleted. The brake holds 1 of these until fedctl approve. "
        "1 workloads meet a problem."
    )
    assert plan.stopped


def test_a_block_tells_the_decision_each_cluster_and_each_difference_once() -> None:
    plan = Plan(
        workloads=(workload(),),
        changes=(
            change("member2", Effect.RESTART, IMAGE, replicas=(2, 2)), change("member3", Effect.RESTART, IMAGE, replicas=(1, 1)),
        ),
        held=(HELD,), after_approval=(change("member1", Effect.DELETE, replicas=(2, 0)),), notes=("a note",),
    )  # fmt: skip
    assert as_text(plan).splitlines()[1:] == [
        "",
        "Deployment shop/web",
        "  policy: none -> PropagationPolicy shop/web",
        "  decided anew: PlacementChanged",
        "  targets: member1=2 -> member2=2",
        "  member2: restart 2 -> 2",
        "  member3: restart 1 -> 1",
        "  member1: delete 2 -> 0 (after approval)",
        "  in member2, member3:",
        "    spec.template.spec.containers[app].image: app:1 -> app:2",
        "",
        "note: a note",
    ]
    assert "**Deployment shop/web**" in as_markdown(plan)
    assert as_json(plan)["held"][0]["plan"] == "p1"
