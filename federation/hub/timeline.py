"""Whether the hub went back in time: marks in the members against what the hub remembers (decision 0005). Pure.

Every mark carries the moment of its writing: incarnation and resourceVersion of the newest federation Lease. Leases only
grow, and only our own processes write them, so in one history no mark is ahead of the Leases. A hub that was restored from
an older snapshot, or rebuilt on an empty API server, has Leases that are older than what it wrote before.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from federation.api.lines import Mark, Moment, parse_moment
from federation.api.meta import Manifest

NAMED = 20
"""Objects that the record names; the rest is a count."""
FIRST = 1
"""Incarnation of a hub that was never resumed."""
_NOTHING = Moment(0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """One object in a member that carries a mark of ours."""

    member: str
    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str
    resource_version: str
    mark: Mark
    deleting: bool = False
    created: str = ""
    """Its creationTimestamp in the member."""

    @property
    def reference(self) -> Manifest:
        """The template that it is a copy of, as `binding.spec.resource` writes it: a rendering keeps its identity."""
        found: Manifest = {
            "apiVersion": self.api_version,
            "kind": self.kind,
            "name": self.name,
            "uid": self.mark.template_uid,
        }
        return {**found, "namespace": self.namespace} if self.namespace else found

    @property
    def binding(self) -> tuple[str, str]:
        """(namespace, name) of its binding."""
        namespace, _, name = self.mark.binding.partition("/")
        return namespace, name

    def __str__(self) -> str:
        place = f"{self.namespace}/{self.name}" if self.namespace else self.name
        at = f" at={self.mark.at}" if self.mark.at is not None else ""
        return f"{self.member}: {self.kind} {place} epoch={self.mark.epoch}{at}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """The hub went back: `hub` is the last moment that it remembers, `highest` the latest that a member shows."""

    since: str
    hub: Moment
    highest: Moment
    ahead: tuple[str, ...] = ()
    count: int = 0

    def is_ahead(self, mark: Mark) -> bool:
        """Whether a copy was written after the moment that the hub went back to."""
        return mark.at is not None and mark.at > self.hub


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What ConfigMap `federation-system/federation-hub` says of the hub's history."""

    id: str = ""
    incarnation: int = FIRST
    behind: Behind | None = None
    forks: Mapping[int, int] = field(default_factory=dict)
    """Incarnation -> the revision at which it was left; what was written in it since is from a lost timeline."""
    unseen: Mapping[str, int] = field(default_factory=dict)
    """Member that did not answer when this history was last looked at -> the revision then."""

    def lost(self, mark: Mark) -> bool:
        """Whether a mark may be from a timeline that a human left by `fedctl hub resume`.

        The fork's own revision counts as lost: the last Lease before a snapshot is also the last one known to what was
        written right after it.
        """
        fork = self.forks.get(mark.at.incarnation) if mark.at is not None else None
        return fork is not None and mark.at is not None and mark.at.revision >= fork


def read_record(config_map: Manifest) -> Record:
    """Read the ConfigMap; a key that cannot be read counts as absent, but for `behind`, which then still holds."""
    data: Mapping[str, str] = config_map.get("data") or {}
    incarnation = data.get("incarnation", "")
    return Record(
        id=data.get("id", "").strip(),
        incarnation=int(incarnation) if incarnation.isdigit() else FIRST,
        behind=_read_behind(data["behind"]) if data.get("behind") else None,
        forks={int(key): value for key, value in _numbers(data.get("forks", "")).items() if key.isdigit()},
        unseen=_numbers(data.get("unseen", "")),
    )


def behind_text(behind: Behind) -> str:
    """`behind` as the ConfigMap keeps it: JSON for people."""
    more = behind.count - len(behind.ahead)
    return orjson.dumps(
        {
            "since": behind.since, "hub": str(behind.hub), "highest": str(behind.highest), "count": behind.count,
            "ahead": [*behind.ahead, *([f"and {more} more"] if more > 0 else [])],
        },
        option=orjson.OPT_INDENT_2,
    ).decode()  # fmt: skip


def numbers_text(numbers: Mapping[Any, int]) -> str:
    """`1=48213 2=0`."""
    return " ".join(f"{key}={value}" for key, value in sorted(numbers.items()))


def ahead_of(
    objects: Iterable[Marked], *, hub_id: str, bound: Moment, epochs: Mapping[tuple[str, str], int]
) -> list[Marked]:
    """The objects that were written after `bound`, or for a decision that the hub does not know yet.

    `epochs`: the decision in force by binding; a binding without one says nothing.
    """
    return [
        one
        for one in objects
        if one.mark.hub == hub_id
        and (
            (one.mark.at is not None and one.mark.at > bound)
            or one.mark.epoch > epochs.get(one.binding, one.mark.epoch)
        )
    ]


def fell_behind(ahead: list[Marked], *, bound: Moment, since: str, known: Behind | None = None) -> Behind:
    """What is remembered of a hub that went back; what was found before stays in it, and the earlier moment counts."""
    moments = [one.mark.at for one in ahead if one.mark.at is not None]
    names = tuple(str(one) for one in ahead)
    if known is None:
        return Behind(
            since=since, hub=bound, highest=max([bound, *moments]), ahead=names[:NAMED], count=len(names)
        )  # fmt: skip
    new = tuple(name for name in names if name not in known.ahead) if known.count == len(known.ahead) else ()
    return replace(
        known, hub=min(known.hub, bound), highest=max([known.highest, *moments]),
        ahead=(*known.ahead, *new)[:NAMED], count=known.count + len(new),
    )  # fmt: skip


def resumed(record: Record) -> Record:
    """The record after a human resumed: a new incarnation, above every one that a member has seen.

    What the old ones wrote after the moment that the hub went back to is from a lost timeline. Raises ValueError when the
    hub is not behind.
    """
    behind = record.behind
    if behind is None:
        raise ValueError("the hub is not behind its members")
    latest = max(record.incarnation, behind.highest.incarnation)
    forks = dict(record.forks)
    for incarnation in range(behind.hub.incarnation, latest + 1):
        revision = behind.hub.revision if incarnation == behind.hub.incarnation else 0
        forks[incarnation] = min(revision, forks.get(incarnation, revision))
    return replace(record, incarnation=latest + 1, behind=None, forks=forks)


def _read_behind(text: str) -> Behind:
    """A text that cannot be read says that the hub is behind everything: nothing is removed until somebody looked."""
    try:
        found = orjson.loads(text)
        hub, highest, count = parse_moment(found["hub"]), parse_moment(found["highest"]), int(found["count"])
        names = tuple(str(name) for name in found["ahead"])[: min(NAMED, count)]
        since = str(found["since"])
    except (KeyError, TypeError, ValueError):
        return Behind(since="", hub=_NOTHING, highest=_NOTHING)
    return Behind(since=since, hub=hub or _NOTHING, highest=highest or _NOTHING, ahead=names, count=count)


def _numbers(text: str) -> dict[str, int]:
    pairs = (part.partition("=") for part in text.split())
    return {key: int(value) for key, _, value in pairs if value.isdigit()}
