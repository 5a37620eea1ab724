"""What a change of a propagation policy would do to what is placed, as a plan for whoever makes the change. Pure.

Each binding that it concerns is put as detect would write it and decided as the scheduler would; the copies that members would have to
give up are counted against what the brake lets through in a window (I15). The brake itself counts again, when it comes to that.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from federation.api.meta import Manifest
from federation.api.words import first
from federation.hub.brake_window import Limits
from federation.hub.detect.decide import patched, plan
from federation.hub.policies import Policy, in_force
from federation.hub.views import binding_view, decision_of, priority_of, template_text, with_peers
from federation.policy.suspend import scheduling_suspended
from federation.schedule.evictions import evictions
from federation.schedule.rehearse import Rehearsed, Waiting
from federation.schedule.snapshot import ClusterView
from federation.schedule.triggers import placement_changed

SHOWN = 5
"""Workloads that a plan names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Concerned:
    """A binding whose policy, or whose claim, the change may alter."""

    binding: Manifest
    template: Manifest
    policies: Sequence[Policy]
    """Those among which it is decided, once the change is stored, who claims the template."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the decisions look at besides. `now`: seconds since the epoch."""

    clusters: Sequence[ClusterView]
    priority_of_class: Callable[[str], int | None]
    peers_of: Callable[[Manifest], Iterable[Manifest]]
    """The bindings that share a workload group with one."""
    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Touched:
    """A binding for which the change means something: as it would wait for a decision."""

    waiting: Waiting
    left_behind: bool
    """What leaves a cluster stays there unmarked (preserveResourcesOnDeletion): that deletes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What one workload would give up: copies that go or shrink, and the replicas in them."""

    copies: int
    replicas: int
    text: str


def touched(one: Concerned, around: Surroundings) -> Touched | None:
    """The binding as it would be; None where the change asks for no decision about it."""
    previous = decision_of(one.binding)
    if previous is None:
        return None  # nothing is placed, as far as anybody knows
    outcome = plan(one.template, policies=one.policies, binding=one.binding, priority_of_class=around.priority_of_class)
    binding = patched(one.binding, outcome)
    policy = in_force(binding["spec"].get("policy") or {}, {policy.facts.uid: policy for policy in one.policies})
    view = binding_view(binding, one.template, policy, now=around.now)
    recorded = binding_view(binding, one.template, None, now=around.now).placement
    if not outcome.patch and not placement_changed(view.placement, recorded, observed=view.observed):
        return None
    evicting, _ = evictions(view, around.clusters, now=around.now)
    peers = [(peer, found.targets) for peer in around.peers_of(binding) if (found := decision_of(peer)) is not None]
    waiting = Waiting(
        name=template_text(binding), view=with_peers(replace(view, evicting=evicting), binding, peers),
        priority=priority_of(binding), suspended=scheduling_suspended(binding["spec"].get("suspension")),
    )  # fmt: skip
    return Touched(waiting=waiting, left_behind=bool(binding["spec"].get("preserveResourcesOnDeletion")))


def losses(found: Iterable[Rehearsed], asked: Sequence[Touched]) -> Iterator[Loss]:
    """What those that were decided give up; nothing of those that keep or gain."""
    known = {one.waiting.name: one for one in asked}
    for one in found:
        about = known[one.name]
        gone = {name: count for name, count in one.before.items() if name not in one.after}
        shrunk = {
            name: count - one.after[name] for name, count in one.before.items() if one.after.get(name, count) < count
        }
        if about.left_behind:
            gone = {}
        if gone or shrunk:
            yield Loss(
                copies=len(gone) + len(shrunk), replicas=sum(gone.values()) + sum(shrunk.values()),
                text=f"{one.name}: {_steps(one.before, one.after, counted=about.waiting.view.replicas is not None)}",
            )  # fmt: skip


def told(found: Sequence[Loss], *, looked_at: int, concerned: int, limits: Limits, managed: int) -> tuple[str, ...]:
    """The warnings: nothing where all of it is within what the brake lets through at once.

    `looked_at`: how many of the `concerned` workloads could be looked at in time. `managed`: copies in the members.
    """
    copies, most = sum(one.copies for one in found), limits.most(managed)
    rest = f"{looked_at} of {concerned} workloads could be looked at in time" if looked_at < concerned else ""
    if copies <= most:
        what = f"{copies or 'no'} copies of them would go or shrink, and the brake lets {most} pass in {limits.seconds:.0f} s"
        return (f"{rest}: {what}",) if rest else ()
    replicas = sum(one.replicas for one in found)
    total = f"{copies} copies" + (f" with {replicas} replicas" if replicas else "") + f" of {len(found)} workloads"
    headline = (
        f"{'at least ' if rest else ''}{total} go or shrink with this change; the brake lets {most} pass in {limits.seconds:.0f} s "
        f"and holds the rest until it is approved" + (f" ({rest})" if rest else "")
    )
    biggest = sorted(found, key=lambda one: (-one.replicas, -one.copies, one.text))
    ways = "held changes are listed by: fedctl get held; they go on with: fedctl approve ID, and end when the change is taken back"
    return (headline, *first([one.text for one in biggest], SHOWN), ways)


def _steps(before: Mapping[str, int], after: Mapping[str, int], *, counted: bool) -> str:
    """`member1 10 -> 0, member2 0 -> 10`; of what has no replicas `member1 deleted, member2 created`."""
    names = sorted(before.keys() | after.keys())
    if counted:
        return ", ".join(
            f"{name} {before.get(name, 0)} -> {after.get(name, 0)}"
            for name in names
            if before.get(name, 0) != after.get(name, 0) or (name in before) != (name in after)
        )
    return ", ".join(
        f"{name} {'deleted' if name in before else 'created'}" for name in names if (name in before) != (name in after)
    )
