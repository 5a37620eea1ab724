"""The replicas of one template's copies as the members' watches show them, looked up only when somebody asks.

Most reconciles end at "the decision stands" and never do; decoding every copy for them would cost more than the decision.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property

from federation.api.meta import Manifest
from federation.hub.fleet import Fleet
from federation.interpret import replicas_of


class Seen(Mapping[str, int]):
    """Replicas by cluster."""

    def __init__(self, fleet: Fleet, reference: Manifest) -> None:
        self._fleet = fleet
        self._reference = reference

    @cached_property
    def _replicas(self) -> dict[str, int]:
        reference, found = self._reference, {}
        kind = (reference["apiVersion"], reference["kind"])
        for member in self._fleet:
            copy = member.copy(kind, reference.get("namespace") or "", reference["name"])
            if copy is not None:
                found[member.name] = replicas_of(copy.manifest()) or 0
        return found

    def __getitem__(self, cluster: str) -> int:
        return self._replicas[cluster]

    def __iter__(self) -> Iterator[str]:
        return iter(self._replicas)

    def __len__(self) -> int:
        return len(self._replicas)
