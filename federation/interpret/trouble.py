"""What keeps a member from following its template, and when that has lasted too long. Pure.

A Deployment says how long (`progressDeadlineSeconds`, default 600 s as Kubernetes has it); other kinds get the same 600 s.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from federation.api.meta import Manifest
from federation.api.words import listed

DEADLINE = 600
"""Seconds without progress, where the template does not say."""
_NAMED = 3
"""Members whose trouble a message tells; the rest are names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A member that does not hold what it should: `reason` and `message` say why, `since` when that began (RFC 3339)."""

    reason: str
    since: str
    message: str = ""
    late: bool = False
    """It has lasted longer than the deadline."""
    stale: bool = False
    """The member is away: its numbers are the last known ones."""

    def __str__(self) -> str:
        stale = ", its numbers are stale" if self.stale else ""
        return f"{self.reason} since {self.since}{stale}" + (f": {self.message}" if self.message else "")


Troubles = Mapping[str, Trouble]


def progress_deadline(template: Manifest) -> int:
    """Seconds that a rollout may be without progress."""
    return int((template.get("spec") or {}).get("progressDeadlineSeconds") or DEADLINE)


def told(troubles: Troubles) -> str:
    """`member1 (Forbidden since ...: why), member2 (...)`; empty for none."""
    return listed([f"{name} ({trouble})" for name, trouble in sorted(troubles.items())], _NAMED)
