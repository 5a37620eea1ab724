"""What the selection answered, and why: the groups with their weights, and each cluster that was left out."""

from dataclasses import dataclass

from federation.schedule.divide.assign import Candidate
from federation.schedule.spread.constraint import CLUSTER, Bound
from federation.schedule.spread.groups import Group

NAMES_IN_LINE = 10
ANY = Bound(CLUSTER)
"""No constraint on clusters."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One constraint: the groups that were chosen, the weightiest first, and those that were not."""

    bound: Bound
    chosen: tuple[Group, ...]
    others: tuple[Group, ...] = ()

    def __str__(self) -> str:
        text = f"{self.bound}: {_listed(self.chosen)}"
        return f"{text}; not {_listed(self.others)}" if self.others else text


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A candidate that takes no part: `bound` is the constraint that says so."""

    cluster: str
    bound: Bound
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The clusters that take the work, in the order in which they were chosen."""

    clusters: tuple[Candidate, ...]
    candidates: tuple[Candidate, ...]
    cluster: Bound = ANY
    choices: tuple[Choice, ...] = ()
    """By key, the coarsest first; the cluster constraint, which has no groups, is `cluster`."""
    approximate: bool = False
    """Every constraint is satisfied, but a better choice may exist: too many groups cross to look at all."""
    ignored: bool = False
    """The constraints do not count: static weights without `respectCapacity` (karmada.md 2.6.2)."""

    @property
    def left_out(self) -> list[LeftOut]:
        """Every candidate that was not selected, with its reason; computed when asked, as only people read it."""
        taken = {one.name for one in self.clusters}
        return [self._why(one) for one in self.candidates if one.name not in taken]

    def _why(self, one: Candidate) -> LeftOut:
        for choice in self.choices:
            names = choice.bound.groups_of(one.facts)
            chosen = {group.name for group in choice.chosen}
            if not names:
                return LeftOut(one.name, choice.bound, f"it has no {choice.bound.what}")
            other = next((name for name in names if name not in chosen), None)
            if other is not None:
                return LeftOut(one.name, choice.bound, f"{choice.bound.what} {other} is not among the chosen")
        return LeftOut(one.name, self.cluster, f"{len(self.clusters)} others are enough and go before it")

    @property
    def lines(self) -> list[str]:
        """The choice for people, a line a constraint."""
        if self.ignored:
            return ["spread constraints do not count for static weights; set respectCapacity to make them count"]
        lines = [str(choice) for choice in self.choices]
        if self.choices or self.cluster != ANY:
            lines.append(f"{self.cluster}: {len(self.clusters)} of {len(self.candidates)}")
        if self.approximate:
            lines.append(
                "Approximate: all constraints hold, but too many groups cross to tell that no choice is better"
            )
        return lines


def _listed(groups: tuple[Group, ...]) -> str:
    named = [f"{one.name} (weight {one.weight}, clusters {one.value})" for one in groups[:NAMES_IN_LINE]]
    return ", ".join(named) + (", ..." if len(groups) > NAMES_IN_LINE else "")
