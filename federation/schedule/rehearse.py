"""What many bindings would become on other clusters than those there are: decided together against one snapshot. Pure.

The functions are those that decide, in the order in which a scheduler with all of them waiting takes them: higher priority, then
bigger, then by name; what one takes is deducted before the next. So room is not spent twice, and the answer is one that can happen.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from federation.interpret import Requirements
from federation.schedule.attempt import adds
from federation.schedule.decide import schedule
from federation.schedule.moves import goal_of
from federation.schedule.snapshot import BindingView, ClusterView
from federation.schedule.triggers import trigger


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A binding to be decided. `name`: as its peers name it. `priority`: its place in the queue. `suspended`: no decision is taken."""

    name: str
    view: BindingView
    priority: int = 0
    suspended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """`before` and `after`: replicas by cluster once all moves are done. `error`: why nothing can be decided; then it stays as it is."""

    name: str
    trigger: str = ""
    before: Mapping[str, int]
    after: Mapping[str, int]
    error: str = ""

    @property
    def changed(self) -> bool:
        """Whether anything would be different."""
        return dict(self.before) != dict(self.after) or bool(self.error)


def rehearse(bindings: Sequence[Waiting], clusters: Sequence[ClusterView]) -> list[Rehearsed]:
    """What becomes of each binding on these clusters, in the order of their names."""
    return sorted(rehearsing(bindings, clusters), key=lambda one: one.name)


def rehearsing(bindings: Sequence[Waiting], clusters: Sequence[ClusterView]) -> Iterator[Rehearsed]:
    """The same in the order in which they are decided, one at a time: for whoever has to stop in between."""
    taken: dict[str, list[tuple[Requirements | None, int]]] = {}
    placed: dict[str, frozenset[str]] = {}
    for one in sorted(bindings, key=lambda one: (-one.priority, -(one.view.replicas or 0), one.view.key)):
        view = _with_placed(one.view, placed)
        before = goal_of(view.previous) if view.previous is not None else dict(view.held)
        cause = None if one.suspended else trigger(view, clusters)
        if cause is None:
            yield Rehearsed(name=one.name, before=before, after=before)
            continue
        outcome = schedule(view, clusters, assumed=taken)
        if outcome.decision is None:
            yield Rehearsed(name=one.name, trigger=cause, before=before, after=before, error=str(outcome.error))
            continue
        after = goal_of(outcome.decision)
        placed[one.name] = frozenset(after)
        for name, parts in adds(view, before, after).items():
            taken.setdefault(name, []).extend(parts)
        yield Rehearsed(name=one.name, trigger=cause, before=before, after=after)


def _with_placed(view: BindingView, placed: Mapping[str, frozenset[str]]) -> BindingView:
    """Its peers where this rehearsal has put them."""
    if not view.together and not view.apart:
        return view
    return replace(
        view,
        together={name: placed.get(name, where) for name, where in view.together.items()},
        apart={name: placed.get(name, where) for name, where in view.apart.items()},
    )
