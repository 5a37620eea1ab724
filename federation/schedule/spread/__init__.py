"""Which clusters take the work under the placement's spread constraints: the step between ranking and division. Pure."""

from federation.schedule.spread.keep import breaks, grow
from federation.schedule.spread.select import select
from federation.schedule.spread.selection import Selection

__all__ = ["Selection", "breaks", "grow", "select"]
