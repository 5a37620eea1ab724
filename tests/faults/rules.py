"""Which requests a fault hits, and when. What then happens is an action, given by the test.

An action gets the request and answers None (go on), DROP (the socket is reset), or an Answer that the client gets in
place of the server's. Before the server was asked, DROP and an Answer mean that the write never happened; after, that
it did and its reply was lost. An action that sleeps is a delay; one that kills the process and drops is a crash.
"""

import enum
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import parse_qs, unquote

import orjson

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "GET": "get", "HEAD": "get"}


class Phase(enum.Enum):
    """When a rule is asked: before the server, after its answer, or for each line of a watch."""

    BEFORE = "before"
    AFTER = "after"
    LINE = "line"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request as an audit log would name it. `user`: the service account of its token, without its namespace."""

    server: str
    method: str
    path: str
    verb: str = ""
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    user: str = ""
    body: Any = None

    @property
    def writes(self) -> bool:
        """Whether it could change something."""
        return self.verb in WRITES

    def __str__(self) -> str:
        what = f"{self.resource}/{self.subresource}" if self.subresource else self.resource or self.path
        place = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.server}: {self.verb} {what} {place}".rstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the client is told instead."""

    status: int
    reason: str = ""
    message: str = "a fault of the test"
    retry_after: int | None = None

    def body(self) -> bytes:
        """A Status object."""
        return orjson.dumps({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message,
            "reason": self.reason, "code": self.status,
        })  # fmt: skip


class Dropped(enum.Enum):
    """The one value of DROP."""

    DROP = "drop"


DROP = Dropped.DROP
Verdict = Answer | Dropped | None
Action = Callable[[Request], Awaitable[Verdict]]


def _any(_request: Request) -> bool:
    return True


@dataclass(slots=True, kw_only=True)
class Rule:
    """Globs, the first occurrence that is hit, and how many are (0: all from there on)."""

    action: Action
    phase: Phase = Phase.BEFORE
    server: str = "*"
    verb: str = "*"
    resource: str = "*"
    subresource: str = "*"
    namespace: str = "*"
    name: str = "*"
    counts: Callable[[Request], bool] = _any
    nth: int = 1
    budget: int = 1
    seen: int = 0
    hits: list[Request] = field(default_factory=list)

    def matches(self, request: Request) -> bool:
        """Whether the request is of those that the rule counts."""
        pairs = (
            (request.server, self.server), (request.verb, self.verb), (request.resource, self.resource),
            (request.subresource, self.subresource), (request.namespace, self.namespace), (request.name, self.name),
        )  # fmt: skip
        return all(fnmatchcase(value, pattern) for value, pattern in pairs) and self.counts(request)

    def strikes(self, request: Request) -> bool:
        """Count a request that matches; whether this one is hit."""
        if not self.matches(request):
            return False
        self.seen += 1
        hit = self.seen >= self.nth and (not self.budget or self.seen < self.nth + self.budget)
        if hit:
            self.hits.append(request)
        return hit


class Rules:
    """The rules in force, for all proxies together."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []

    def add(self, rule: Rule) -> Rule:
        """Put a rule in force."""
        self._rules.append(rule)
        return rule

    def clear(self) -> None:
        """No rule from now on; what an action holds up stays held up until the action returns."""
        self._rules.clear()

    def hits(self) -> list[Request]:
        """What the rules in force have hit."""
        return [request for rule in self._rules for request in rule.hits]

    async def verdict(self, request: Request, phase: Phase) -> Verdict:
        """Ask every rule of a phase, in order; the first that does not say "go on" decides."""
        for rule in [rule for rule in self._rules if rule.phase is phase and rule.strikes(request)]:
            verdict = await rule.action(request)
            if verdict is not None:
                return verdict
        return None


def read(server: str, method: str, path: str, query: str, *, user: str = "", body: bytes = b"") -> Request:
    """A request from its line and body: `/apis/apps/v1/namespaces/shop/deployments/web/status` and so on."""
    parts = [unquote(part) for part in path.strip("/").split("/")]
    content = _json(body)
    group = ""
    if parts[0] == "api" and len(parts) > 2:
        rest = parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, rest = parts[1], parts[3:]
    else:
        return Request(server=server, method=method, path=path, verb=_VERBS.get(method, ""), user=user)
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    name = rest[1] if len(rest) > 1 else ""
    verb = _VERBS.get(method, "")
    if method == "GET" and not name:
        verb = "watch" if "true" in parse_qs(query).get("watch", []) else "list"
    elif method == "DELETE" and not name:
        verb = "deletecollection"
    elif method == "POST" and not name and isinstance(content, dict):
        name = (content.get("metadata") or {}).get("name") or ""
    return Request(
        server=server, method=method, path=path, verb=verb, group=group, resource=rest[0],
        subresource="/".join(rest[2:]), namespace=namespace, name=name, user=user, body=content,
    )  # fmt: skip


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body) if body else None
    except orjson.JSONDecodeError:
        return None
