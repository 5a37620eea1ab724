"""From a URL to what it means: kind, namespace, name, subresource and query."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from federation.sandbox.kinds import Kind, Kinds
from federation.sandbox.refusals import no_such_path


@dataclass(frozen=True, slots=True)
class Target:
    """What a request for objects is about."""

    kind: Kind
    namespace: str
    name: str
    subresource: str
    query: Mapping[str, str]

    @property
    def watching(self) -> bool:
        """Whether a GET is for a stream."""
        return not self.name and self.query.get("watch", "") in ("1", "true")

    @property
    def dry_run(self) -> bool:
        """Whether nothing may be stored."""
        return self.query.get("dryRun") == "All"


@dataclass(frozen=True, slots=True)
class Place:
    """A path in parts, and its query."""

    parts: tuple[str, ...]
    query: Mapping[str, str]


def split(path: str) -> Place:
    """Path and query of a URL."""
    path, _, query = path.partition("?")
    parts = tuple(unquote(part) for part in path.strip("/").split("/") if part)
    return Place(parts, dict(parse_qsl(query, keep_blank_values=True)))


def target(place: Place, kinds: Kinds) -> Target:
    """The objects that a path names. Raises 404 for a kind that is not served there."""
    parts = place.parts
    if parts[:1] == ("api",) and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[:1] == ("apis",) and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        raise no_such_path()
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    kind = kinds.find(group, version, rest[0])
    if kind is None or len(rest) > 3 or (namespace and not kind.namespaced):
        raise no_such_path()
    name = rest[1] if len(rest) > 1 else ""
    if name and kind.namespaced and not namespace:
        raise no_such_path()
    return Target(kind, namespace, name, rest[2] if len(rest) > 2 else "", place.query)
