"""Whether sending to a cluster is suspended: `spec.suspension` of a policy, as the binding carries it.

Scheduling goes on while sending is suspended (karmada.md 1.1.2, suspension).
"""

from federation.api.meta import Manifest


def suspended(suspension: Manifest | None, cluster: str) -> bool:
    """Whether nothing is sent to `cluster`: dispatching is suspended as a whole, or for this cluster."""
    if not suspension:
        return False
    if suspension.get("dispatching"):
        return True
    some = suspension.get("dispatchingOnClusters") or {}
    return cluster in (some.get("clusterNames") or ())
