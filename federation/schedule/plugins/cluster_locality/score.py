"""Work stays where it is: a target of the previous decision scores 100 (karmada.md 2.4.2)."""

from federation.schedule.snapshot import BindingView, ClusterView


class ClusterLocality:
    """100 for a cluster that has the work already, else 0."""

    name = "ClusterLocality"

    def score(self, binding: BindingView, cluster: ClusterView) -> int:
        """The score."""
        return 100 if cluster.name in binding.targets else 0
