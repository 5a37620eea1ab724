"""Why no decision could be taken; the decision in force, if any, stays."""

from dataclasses import dataclass

NO_CLUSTER_FIT = "NoClusterFit"
UNSCHEDULABLE = "Unschedulable"
SCHEDULER_ERROR = "SchedulerError"


@dataclass
class ScheduleError(Exception):
    """`code` is the short code of karmada.md 6.3, `reason` the reason of the Scheduled condition, `message` for people."""

    code: str
    reason: str
    message: str

    def __str__(self) -> str:
        return self.message


def no_clusters(message: str) -> ScheduleError:
    """No cluster passed the filters."""
    return ScheduleError("no_clusters", NO_CLUSTER_FIT, message)


def unschedulable(message: str) -> ScheduleError:
    """Clusters fit, their free capacity does not."""
    return ScheduleError("unschedulable", UNSCHEDULABLE, message)


def unsupported_strategy(message: str) -> ScheduleError:
    """The placement asks for a division that nobody knows."""
    return ScheduleError("unsupported_strategy", SCHEDULER_ERROR, message)


def too_few(groups: str, message: str) -> ScheduleError:
    """Clusters fit, but not enough of them, or in too few `groups` (clusters, regions, zones, ...), for the spread."""
    return ScheduleError(f"too_few_{groups}", NO_CLUSTER_FIT, message)


def insufficient_resource(message: str) -> ScheduleError:
    """The clusters that the spread allows together have too little room (karmada.md 8.6 is not copied)."""
    return ScheduleError("insufficient_resource", UNSCHEDULABLE, message)
