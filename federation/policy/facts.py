"""What the rules of this package look at: facts of a cluster and of an object, taken from manifests by the caller.

Small on purpose, so that a rule cannot depend on what it does not name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """A member cluster as selectors see it. `labels` is not part of the hash (mappings have none)."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    region: str = ""
    zones: tuple[str, ...] = ()
    provider: str = ""


@dataclass(frozen=True, slots=True)
class ObjectFacts:
    """An object as resource selectors see it; `namespace` is empty for a cluster-scoped one."""

    api_version: str
    kind: str
    namespace: str
    name: str
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
