"""Where a set of clusters comes from: kind where a Docker engine answers, else processes on this machine."""

import os

from hack.lab.kind import KindSet, available
from hack.lab.sets import ClusterSet

PROVIDERS = ("auto", "kind", "local")
CHOICE = "FEDERATION_CLUSTERS_PROVIDER"
"""Environment variable that chooses for everything that is not told: tests, demo, bench."""


def cluster_set(name: str, provider: str = "") -> ClusterSet | KindSet:
    """A set by name. Raises ValueError for a provider that is none of PROVIDERS."""
    chosen = provider or os.environ.get(CHOICE) or "auto"
    if chosen not in PROVIDERS:
        raise ValueError(f"{CHOICE}={chosen}: known are {', '.join(PROVIDERS)}")
    if chosen == "kind" or (chosen == "auto" and available()):
        return KindSet(name)
    return ClusterSet(name)
