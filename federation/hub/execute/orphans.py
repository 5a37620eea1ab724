"""What becomes of an object that carries our mark and has no binding. Pure; shared by the sweep and `fedctl orphans`.

It is deleted only if its mark names this hub, a quorum read finds no template of that group, kind, namespace and name, and
it is of this hub's own history; otherwise it stays, and is taken up again when its template returns (I14, I21).
"""

import enum
from dataclasses import dataclass

from federation.hub.evidence import Evidence, Standing
from federation.hub.timeline import Marked, Record


class Fate(enum.Enum):
    """What to do about it."""

    DELETE = "delete"
    KEEP = "keep"
    """Stranded: reported, never removed by us."""
    ASK = "ask"
    """Not known yet: look again."""
    FOREIGN = "foreign"
    """Another hub's."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A fate and why, in one word and in words."""

    fate: Fate
    reason: str
    message: str


_BY_STANDING = {
    Standing.GONE: Verdict(Fate.DELETE, "TemplateGone", "its template is gone; it is removed"),
    Standing.TERMINATING: Verdict(Fate.ASK, "TemplateEnds", "its template is being deleted"),
    Standing.PRESENT: Verdict(
        Fate.KEEP, "NoBinding", "its template exists, and no policy claims it; it stays until one does or the template goes"
    ),
    Standing.UNDEFINED: Verdict(
        Fate.KEEP, "KindMissing", "its kind is not defined on the hub; it is taken up again when kind and template return"
    ),
    Standing.UNKNOWN: Verdict(Fate.ASK, "Unknown", "whether its template exists is not known"),
}  # fmt: skip


def fate(marked: Marked, *, hub_id: str, record: Record, evidence: Evidence | None, ahead: bool = False) -> Verdict:
    """Judge one object without a binding. `ahead`: a fresh look at the Leases shows that its mark is ahead of the hub."""
    if marked.mark.hub != hub_id:
        return Verdict(Fate.FOREIGN, "OtherHub", f"it is marked by hub {marked.mark.hub}")
    if record.lost(marked.mark):
        return Verdict(
            Fate.KEEP, "LostTimeline",
            f"it was written at {marked.mark.at}, in a history that `fedctl hub resume` left; only `fedctl orphans --delete`"
            " removes it",
        )  # fmt: skip
    if record.behind is not None or ahead:
        return Verdict(Fate.KEEP, "HubBehindMembers", "the hub is behind its members; run: fedctl hub status")
    return _BY_STANDING[evidence.standing if evidence is not None else Standing.UNKNOWN]
