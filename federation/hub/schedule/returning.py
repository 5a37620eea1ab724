"""When work returns to an affinity group before the one in use: once that could take it for a quiet period without a break.

What is remembered here is only since when; a process that starts begins to count anew, which moves nothing too early.
"""

import time
from collections.abc import Callable, Sequence

from federation.api.naming import BindingKey
from federation.schedule.affinity import earlier
from federation.schedule.attempt import Assumed
from federation.schedule.decide import returns
from federation.schedule.snapshot import BindingView, ClusterView


class Returning:
    """Since when each binding could return. `after`: the quiet period in seconds."""

    def __init__(self, *, after: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._after = after
        self._clock = clock
        self._since: dict[BindingKey, float] = {}

    def wait(
        self, key: BindingKey, view: BindingView, clusters: Sequence[ClusterView], assumed: Assumed
    ) -> float | None:
        """Seconds until the binding should return, 0 or less when it should now; None while it should not."""
        previous = view.previous
        if previous is None or previous.moves or not earlier(view.placement, view.observed):
            self._since.pop(key, None)
            return None
        if returns(view, clusters, assumed=assumed) is None:
            self._since.pop(key, None)
            return None
        return self._since.setdefault(key, self._clock()) + self._after - self._clock()

    def forget(self, key: BindingKey) -> None:
        """The binding is gone."""
        self._since.pop(key, None)
