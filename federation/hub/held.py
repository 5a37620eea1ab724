"""Destructive changes, the plans they belong to, and what humans approved. Pure; shared by the brake and by fedctl.

A change is one delete or one shrink of one copy; a plan is all changes of one cause. What is held says so in its member's
line (`reason=Held plan=... change=... do=...`); an approval names changes, never a cause, so it lets nothing later pass.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from federation.api.lines import parse_line
from federation.api.meta import Manifest
from federation.api.naming import short_hash
from federation.hub.conditions import timestamp
from federation.hub.views import lines_of, template_text
from federation.interpret import ours_alone

HELD = "Held"
"""The reason in a member's line."""
DELETE = "delete"
APPROVALS = "federation-approvals"
"""ConfigMap in `federation-system`: by plan, lines of `<until> <change> <change> ...`."""
APPROVED_FOR = 3600.0
"""Seconds for which an approval stands."""
MOST_APPROVED = 20_000
"""Changes that may be approved at a time: what a ConfigMap holds, with room."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why copies go or shrink: equal keys are one plan; the text is for people."""

    key: str
    text: str

    @property
    def plan(self) -> str:
        """Id of the plan, as `fedctl approve` takes it."""
        return short_hash(self.key)[:8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One destructive write: `what` is `delete`, or a shrink as `5->2`."""

    cluster: str
    uid: str
    """UID of the copy."""
    what: str
    cause: Cause
    held: bool = False
    """Whether the member's stored line says that this very change is held."""

    @property
    def id(self) -> str:
        """The same for the same change, whoever asks and whenever."""
        return change_id(self.cluster, self.uid, self.what)


def change_id(cluster: str, uid: str, what: str) -> str:
    """Id of a destructive change."""
    return short_hash(f"{cluster} {uid} {what}")[:12]


def shrink(observed: Manifest, desired: Manifest) -> str:
    """`5->2` where an apply of `desired` lowers the replicas (or the parallelism of a Job); else empty.

    A number that `desired` leaves to the member's own autoscaler is not lowered by it; one that only we own and no longer write
    falls to the default of Kubernetes, 1.
    """
    have, want = observed.get("spec") or {}, desired.get("spec") or {}
    for key in ("replicas", "parallelism"):
        before, after = have.get(key), want.get(key, 1 if ours_alone(observed, key) else None)
        if isinstance(before, int) and isinstance(after, int) and after < before:
            return f"{before}->{after}"
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldChange:
    """A held change as its binding shows it."""

    plan: str
    change: str
    what: str
    cluster: str
    object: str
    """`Deployment shop/web`."""
    cause: str
    since: str


def held_in(binding: Manifest) -> Iterator[HeldChange]:
    """The held changes of one binding."""
    for cluster, text in sorted(lines_of(binding).items()):
        fields = parse_line(text)
        if fields.get("reason") == HELD:
            yield HeldChange(
                plan=fields.get("plan", ""), change=fields.get("change", ""), what=fields.get("do", ""), cluster=cluster,
                object=template_text(binding), cause=fields.get("error", ""),
                since=fields.get("since", ""),
            )  # fmt: skip


def approved(data: Mapping[str, str]) -> dict[str, float]:
    """Until when each change is approved, in seconds since the epoch; a line that we did not write approves nothing."""
    found: dict[str, float] = {}
    for text in data.values():
        for until, changes in _approvals(text):
            found.update({change: max(until, found.get(change, 0.0)) for change in changes})
    return found


def with_approval(data: Mapping[str, str], plan: str, changes: Iterable[str], now: float) -> dict[str, str]:
    """The approvals with one more; what has expired is dropped. Raises ValueError when it would be too much to keep."""
    kept: dict[str, str] = {}
    for key, text in data.items():
        lines = [f"{timestamp(until)} {' '.join(names)}" for until, names in _approvals(text) if until > now]
        if lines:
            kept[key] = "\n".join(lines)
    line = f"{timestamp(now + APPROVED_FOR)} {' '.join(sorted(changes))}"
    kept[plan] = f"{kept[plan]}\n{line}" if plan in kept else line
    total = sum(len(names) for text in kept.values() for _, names in _approvals(text))
    if total > MOST_APPROVED:
        raise ValueError(f"{total} changes would be approved at once; at most {MOST_APPROVED} may be")
    return kept


def _approvals(text: str) -> Iterator[tuple[float, list[str]]]:
    for line in text.splitlines():
        until, *names = line.split()
        try:
            yield datetime.fromisoformat(until).timestamp(), names
        except ValueError:
            continue
