"""The window of the brake: how many destructive writes were made lately, and how many more may be (I15). Pure.

Tokens are taken before a write, which may land up to `landing` seconds later: a token therefore counts until `seconds`
after that, so that no 60 s of the members' own time hold more writes than the limit.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from federation.hub.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """At most max(`objects`, `percent` of the managed copies) destructive writes in `seconds`."""

    objects: int = 5
    percent: float = 10.0
    seconds: float = 60.0
    landing: float = 10.0
    """The longest time from a token to the end of its write."""

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
        """As the operator set them."""
        return cls(
            objects=settings.brake_objects, percent=settings.brake_percent, seconds=settings.brake_seconds,
            landing=settings.member_timeout,
        )  # fmt: skip

    def most(self, managed: int) -> int:
        """Destructive writes that one window may hold while `managed` copies are in the members."""
        return max(self.objects, math.floor(managed * self.percent / 100))

    @property
    def life(self) -> float:
        """Seconds for which a token counts."""
        return self.seconds + self.landing


@dataclass(frozen=True, slots=True)
class Window:
    """(second, tokens taken in it, copies that were managed then), in order; seconds since the epoch, rounded up."""

    taken: tuple[tuple[int, int, int], ...] = ()

    def take(self, asked: int, *, managed: int, limits: Limits, now: float) -> tuple["Window", int]:
        """(the window after it, how many of `asked` tokens were given). Old tokens are forgotten only when some are given.

        The limit is a part of what was managed before the writes of this window, which may have removed some. A second
        that lies further ahead than a window was written by a wrong clock: it counts from now on.
        """
        second = math.ceil(now)
        ahead = now + limits.life
        right = [(second if at > ahead else at, count, before) for at, count, before in self.taken]
        left = [entry for entry in right if entry[0] > now - limits.life]
        most = limits.most(max([managed, *(before for _, _, before in left)]))
        given = max(0, min(asked, most - sum(count for _, count, _ in left)))
        if given == 0:
            return Window(_by_second(right)), 0
        return Window(_by_second([*left, (second, given, managed)])), given


def _by_second(taken: Iterable[tuple[int, int, int]]) -> tuple[tuple[int, int, int], ...]:
    sums: dict[int, tuple[int, int]] = {}
    for at, count, managed in taken:
        before = sums.get(at, (0, 0))
        sums[at] = (before[0] + count, max(before[1], managed))
    return tuple((at, *rest) for at, rest in sorted(sums.items()))


def print_window(window: Window) -> str:
    """`1785830400:3:60 1785830410:2:57`."""
    return " ".join(f"{at}:{count}:{managed}" for at, count, managed in window.taken)


def parse_window(text: str) -> Window:
    """The window that a text says. Raises ValueError for one that we did not write."""
    parts = (part.split(":") for part in text.split())
    return Window(tuple((int(at), int(count), int(managed)) for at, count, managed in parts))
