"""Taints keep new work out; what is placed already stays (karmada.md 2.4.1)."""

from collections.abc import Sequence

from federation.api.placement import Taint, Toleration
from federation.schedule.plugins.base import Event, Refusal
from federation.schedule.snapshot import BindingView, ClusterView

_EFFECTS = frozenset({"NoSchedule", "NoExecute"})


class TaintToleration:
    """Refuses clusters with an untolerated NoSchedule or NoExecute taint."""

    name = "TaintToleration"
    events = frozenset({Event.CLUSTER_CHANGED, Event.PLACEMENT})

    def refuse(self, binding: BindingView, cluster: ClusterView) -> Refusal | None:
        """None if every taint is tolerated, or the cluster has the work already."""
        if cluster.name in binding.targets:
            return None
        taint = first_untolerated(cluster.taints, binding.placement.cluster_tolerations or ())
        if taint is None:
            return None
        text = f"{taint.key}={taint.value}:{taint.effect}" if taint.value else f"{taint.key}:{taint.effect}"
        return Refusal(
            self.name, cluster.name, "cluster(s) had untolerated taint", f"taint {text} is not tolerated", brief=text
        )


def first_untolerated(taints: Sequence[Taint], tolerations: Sequence[Toleration]) -> Taint | None:
    """The first taint that keeps work out and that no toleration covers."""
    for taint in taints:
        if taint.effect in _EFFECTS and not any(tolerates(toleration, taint) for toleration in tolerations):
            return taint
    return None


def tolerates(toleration: Toleration, taint: Taint) -> bool:
    """The rule of Kubernetes: empty effect matches all, empty key with Exists matches all, Equal compares values."""
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    if toleration.operator == "Exists":
        return True
    return bool(toleration.key) and toleration.value == taint.value
