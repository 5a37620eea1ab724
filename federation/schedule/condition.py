"""What the Scheduled condition says of one attempt, and whether the attempt waits for an event (karmada.md 2.2.2)."""

from collections.abc import Sequence
from dataclasses import dataclass

from federation.schedule.errors import NO_CLUSTER_FIT, SCHEDULER_ERROR, UNSCHEDULABLE, ScheduleError


@dataclass(frozen=True, slots=True)
class Verdict:
    """`dropped`: not retried by time, only by an event that can lift it."""

    status: str
    reason: str
    dropped: bool


def scheduled_condition(errors: Sequence[ScheduleError], *, aggregate: bool = False) -> Verdict:
    """The condition for the errors of one attempt; several (or `aggregate`) are those of several affinity groups.

    One that does not fit anywhere waits for an event; mixed with others it is retried, as another group may do.
    """
    if not errors:
        return Verdict("True", "Success", dropped=True)
    reasons = [error.reason for error in errors]
    if aggregate or len(errors) > 1:
        return Verdict("False", NO_CLUSTER_FIT if NO_CLUSTER_FIT in reasons else SCHEDULER_ERROR, dropped=False)
    if reasons[0] == UNSCHEDULABLE:
        return Verdict("False", UNSCHEDULABLE, dropped=False)
    if reasons[0] == NO_CLUSTER_FIT:
        return Verdict("False", NO_CLUSTER_FIT, dropped=True)
    return Verdict("False", SCHEDULER_ERROR, dropped=False)
