"""Timings and limits of the hub process; one value object handed to every controller.

Every duration is in seconds. Defaults are for production; tests shorten the probing ones.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an operator may tune with flags of `federation hub`."""

    probe_period: float = 10.0
    """Between two health probes of a member; also the least time between two writes of its status."""

    probe_timeout: float = 5.0
    """A probe without an answer for this long has failed."""

    failure_threshold: float = 30.0
    """A member must fail its probes for this long before it counts as not ready (Karmada 3.7.2)."""

    success_threshold: float = 10.0
    """A member that was not ready must answer for this long before it counts as ready again."""

    member_timeout: float = 5.0
    """One write to a member: less than what is left of a lease after a renewal, as no write may outlive its lease."""

    lease_duration: float = 10.0
    """A replica that does not renew its leases for this long is followed by another one (docs/high-availability.md)."""

    lease_deadline: float = 7.0
    """A replica that could not renew a lease for this long ends."""

    lease_retry: float = 1.5
    """Between two renewals, and between two looks at the leases of the others."""

    window_first: float = 0.2
    """While a rollout runs, status is written once a window; the first lasts this long, each next one twice as long."""

    window_last: float = 5.0
    """The longest status window."""

    policy_status_period: float = 5.0
    """The least time between two status writes of one policy."""

    return_period: float = 300.0
    """How long an affinity group before the one in use must be able to take a workload before it returns there."""

    ledger: str = ""
    """Directory of the decision ledger; empty: none is kept."""

    workers: int = 16
    """Reconciles at once per controller; beyond 16 to 32 an API server only queues (measured)."""

    brake_objects: int = 5
    """Destructive writes to members that a window may always hold (I15)."""

    brake_percent: float = 10.0
    """Or this part of all copies in the members, where that is more."""

    brake_seconds: float = 60.0
    """Length of the window."""
