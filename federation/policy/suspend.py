"""What is suspended: sending to clusters, or scheduling: `spec.suspension` of a policy, as the binding carries it.

Scheduling goes on while sending is suspended (karmada.md 1.1.2, suspension), and sending while scheduling is.
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


def scheduling_suspended(suspension: Manifest | None) -> bool:
    """Whether no decision may be taken: a queue controller or a person holds the workload back (karmada.md 1.2.1)."""
    return bool((suspension or {}).get("scheduling"))
