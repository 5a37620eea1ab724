"""Errors of API requests, one tree, retryable by type.

    ApiError
    ├── Conflict            409, also a precondition that failed
    ├── AlreadyExists       409 with reason AlreadyExists
    ├── NotFound            404
    ├── Gone                410, a resourceVersion that is too old
    ├── Unauthorized        401
    ├── Forbidden           403
    ├── Invalid             400, 422, and the 500 of a manifest that server-side apply cannot parse
    ├── TooManyRequests     429
    └── Unavailable         5xx, time-outs, connections that failed (status 0)

Messages are the server's own words, never our request body (I16); `discreet` drops words that may quote it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause of a refusal: the field, and why."""

    field: str
    reason: str
    message: str


class ApiError(Exception):
    """A request that an API server did not carry out as asked."""

    retryable = False

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        *,
        retry_after: float | None = None,
        causes: tuple[Cause, ...] = (),
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{reason or 'error'} ({status}): {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
        self.causes = causes
        self.details = details


class Conflict(ApiError):
    """Somebody else was first: read again and decide again."""

    retryable = True


class AlreadyExists(ApiError):
    """An object of that name exists."""

    retryable = True


class NotFound(ApiError):
    """No object of that name, or no such kind: `details["name"]` is set only for an object."""


class Gone(ApiError):
    """The resourceVersion is too old to watch from: list again."""

    retryable = True


class Unauthorized(ApiError):
    """The credentials are not accepted."""

    retryable = True


class Forbidden(ApiError):
    """The credentials are accepted, the request is not allowed."""


class Invalid(ApiError):
    """The request can never succeed as it is."""


class TooManyRequests(ApiError):
    """The server asks to slow down."""

    retryable = True


class Unavailable(ApiError):
    """The server did not answer, or could not."""

    retryable = True


_BY_STATUS: dict[int, type[ApiError]] = {
    400: Invalid,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    413: Invalid,
    415: Invalid,
    422: Invalid,
    429: TooManyRequests,
}

_UNPARSEABLE = ("failed to create typed patch object", "failed to convert new object")
"""The API server answers 500 to a manifest with duplicate list keys, and to data of a Secret that is no base64 (measured):
the manifest's fault, for ever."""


def error_from(status: int, body: bytes, headers: Mapping[str, str]) -> ApiError:
    """The error of an answer with a status of 400 or more."""
    reply = _status_object(body)
    message = str(reply.get("message") or body[:200].decode(errors="replace") or f"HTTP {status}")
    reason = str(reply.get("reason") or "")
    details = reply.get("details") if isinstance(reply.get("details"), dict) else None
    causes = tuple(
        Cause(str(cause.get("field") or ""), str(cause.get("reason") or ""), str(cause.get("message") or ""))
        for cause in (details or {}).get("causes") or []
    )
    kind = _BY_STATUS.get(status, Unavailable if status >= 500 else ApiError)
    if status == 409 and reason == "AlreadyExists":
        kind = AlreadyExists
    elif status == 500 and any(words in message for words in _UNPARSEABLE):
        kind, reason = Invalid, "Invalid"
    return kind(
        status, reason or kind.__name__, message, retry_after=_retry_after(headers), causes=causes, details=details
    )


_RIGHTS = re.compile(
    r'[\w.]+( "[^"]*")? is forbidden: User "[^"]*" cannot \w+ resource "[^"]*" in API group "[^"]*"[^:]*'
)
"""The whole of what RBAC answers: who may not do what where."""


def discreet(error: ApiError) -> ApiError:
    """The same refusal of a write without the server's words: validation and webhooks quote what they refuse (I16).

    The fields stay, and so does what RBAC says.
    """
    if isinstance(error, Forbidden) and _RIGHTS.fullmatch(error.message):
        return error
    fields = sorted({cause.field for cause in error.causes if cause.field})
    at = f" at {', '.join(fields)}" if fields else ""
    details = {key: value for key, value in (error.details or {}).items() if key in ("name", "group", "kind", "uid")}
    return type(error)(
        error.status, error.reason, f"{error.reason} ({error.status}){at}; the answer is not shown, it may quote the object",
        retry_after=error.retry_after, causes=tuple(Cause(cause.field, cause.reason, "") for cause in error.causes),
        details=details,
    )  # fmt: skip


def _status_object(body: bytes) -> dict[str, Any]:
    try:
        reply = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return reply if isinstance(reply, dict) else {}


def _retry_after(headers: Mapping[str, str]) -> float | None:
    try:
        return float(headers["retry-after"])
    except (KeyError, ValueError):
        return None
