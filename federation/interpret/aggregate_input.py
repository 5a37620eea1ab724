"""What a template's status is made of: the members' facts, and how they are counted. Pure."""

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass

from federation.api.meta import Manifest
from federation.interpret.conditions import Members
from federation.interpret.trouble import Troubles


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """The template, its members, and what is known of their progress."""

    template: Manifest
    members: Members
    unknown: bool
    """Some target has not been heard of yet."""
    caught_up: bool
    now: str
    divided: bool
    troubles: Troubles
    behind: Set[str]
    """Targets to which this generation of the template was not applied yet."""

    def number(self, key: str) -> int:
        """A count over the members: the sum, or the slowest member's where each has a whole copy."""
        values = [self._count(name, key) for name in self.members]
        if self.divided:
            return sum(values)
        return 0 if self.unknown or not values else min(values)

    def _count(self, name: str, key: str) -> int:
        """A member's number; what runs an older generation is not updated to the one that the status speaks of."""
        if key == "updated" and name in self.behind and self.observed_generation == self.generation:
            return 0
        return int(self.members[name].get(key, "0"))

    @property
    def generation(self) -> int:
        """The template's."""
        return int(self.template["metadata"].get("generation") or 0)

    @property
    def observed_generation(self) -> int:
        """The generation that all targets run, or that failed in some; else what the status said before."""
        before = int((self.template.get("status") or {}).get("observedGeneration") or 0)
        return self.generation if self.caught_up or self.late else before

    @property
    def late(self) -> Troubles:
        """The members that have been in trouble for longer than the deadline."""
        return {name: trouble for name, trouble in self.troubles.items() if trouble.late}

    def names(self, test: Callable[[Mapping[str, str]], bool]) -> list[str]:
        """The members whose facts pass a test."""
        return [name for name, facts in self.members.items() if test(facts)]
