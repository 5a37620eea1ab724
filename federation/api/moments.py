"""Times as Kubernetes writes them."""

from datetime import datetime


def seconds_of(text: str | None) -> float | None:
    """An RFC 3339 time in seconds since the epoch; None where there is none, or none that can be read."""
    try:
        return datetime.fromisoformat(text).timestamp() if text else None
    except ValueError:
        return None
