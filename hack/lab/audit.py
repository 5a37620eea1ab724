"""Reading audit logs: which requests a cluster answered, by whom. One JSON line a request (level Metadata)."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Request:
    """One answered request."""

    user: str
    verb: str
    resource: str
    subresource: str
    namespace: str
    name: str
    code: int
    uri: str
    time: str

    @property
    def writes(self) -> bool:
        """Whether it could change something."""
        return self.verb in {"create", "update", "patch", "delete", "deletecollection"}

    def __str__(self) -> str:
        what = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        return f"{self.verb} {what} {self.namespace}/{self.name} {self.code}"


def requests(log: Path, *, offset: int = 0) -> Iterator[Request]:
    """Requests from byte `offset` of a log on. Watches appear when they end."""
    if not log.exists():
        return
    with log.open("rb") as file:
        file.seek(offset)
        for line in file:
            if line.endswith(b"\n"):
                yield _request(json.loads(line))


def _request(entry: dict) -> Request:  # type: ignore[type-arg]
    reference = entry.get("objectRef") or {}
    return Request(
        user=(entry.get("user") or {}).get("username", ""), verb=entry.get("verb", ""),
        resource=reference.get("resource", ""), subresource=reference.get("subresource", ""),
        namespace=reference.get("namespace", ""), name=reference.get("name", ""),
        code=int((entry.get("responseStatus") or {}).get("code") or 0), uri=entry.get("requestURI", ""),
        time=entry.get("stageTimestamp", ""),
    )  # fmt: skip
