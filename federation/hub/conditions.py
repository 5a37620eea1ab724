"""Conditions as Kubernetes writes them. Pure: the time is an argument.

`lastTransitionTime` moves only with `status`; a condition that says the same again is the same object, so that a
comparison with what is stored shows no difference and nothing is written.
"""

from datetime import UTC, datetime

from federation.api.meta import Manifest

MESSAGE_LIMIT = 1024
"""Longest message, in characters; longer ones are cut with a marker."""


def timestamp(now: float) -> str:
    """Seconds since the epoch as RFC 3339 in UTC, whole seconds."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def condition(
    previous: Manifest | None, *, kind: str, status: str, reason: str, message: str, generation: int, now: float
) -> Manifest:
    """The condition to store, given the one of the same type that is stored now (or None)."""
    same = previous is not None and previous.get("status") == status
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": cut(message),
        "observedGeneration": generation,
        "lastTransitionTime": previous["lastTransitionTime"] if same and previous else timestamp(now),
    }


def cut(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """`text` within `limit` characters; a cut text ends with `...`."""
    return text if len(text) <= limit else text[: limit - 3] + "..."
