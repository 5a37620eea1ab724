"""When a binding's report may be written: what changes at once is written at once, a rollout once a window. Pure.

Windows grow from `first`, doubling to `last`, while a rollout goes on; after a whole window of quiet they begin anew
(DESIGN, write budget). Times are seconds of any clock that only goes forward.
"""

from dataclasses import dataclass

from federation.api.naming import BindingKey


@dataclass(slots=True)
class _Window:
    open_until: float
    length: float
    waiting: bool = False
    """A write was asked to wait for the end of this window."""


class Windows:
    """One window a binding."""

    def __init__(self, *, first: float, last: float) -> None:
        self._first = first
        self._last = last
        self._windows: dict[BindingKey, _Window] = {}

    def forget(self, key: BindingKey) -> None:
        """The binding is gone."""
        self._windows.pop(key, None)

    def wait(self, key: BindingKey, *, at_once: bool, now: float) -> float:
        """Seconds to wait before a write; 0 means that it is made now, and opens the next window.

        After a quiet time the first write waits a short window, for the other members to settle.
        """
        window = self._windows.get(key)
        if window is None or (not window.waiting and now >= window.open_until):
            window = self._windows[key] = self._gather(window, now)
        if not at_once and now < window.open_until:
            window.waiting = True
            return window.open_until - now
        window.waiting = False
        window.length = min(window.length * 2, self._last)
        window.open_until = now + window.length
        return 0.0

    def _gather(self, last: _Window | None, now: float) -> _Window:
        quiet = last is None or now > last.open_until + last.length
        length = self._first if last is None or quiet else last.length
        return _Window(open_until=now + self._first, length=length)
