"""I15 for any sequence of askers: no window of a minute holds more writes than the limit, and what is stored stays small."""

from hypothesis import given
from hypothesis import strategies as st

from federation.hub.brake_window import Limits, Window, parse_window, print_window

ASKS = st.lists(st.tuples(st.floats(0, 40), st.integers(0, 30), st.floats(0, 10)), max_size=40)
"""(seconds after the one before, tokens asked, seconds until their write lands)"""


@given(asks=ASKS, objects=st.integers(0, 12), managed=st.integers(0, 200))
def test_no_minute_holds_more_writes_than_the_limit(
    asks: list[tuple[float, int, float]], objects: int, managed: int
) -> None:
    limits = Limits(objects=objects)
    window, now, landed = Window(), 1_000.0, []
    for pause, asked, delay in asks:
        now += pause
        window, count = parse_window(print_window(window)).take(asked, managed=managed, limits=limits, now=now)
        landed.extend([now + delay] * count)
    most = max(objects, managed // 10)
    for start in landed:
        assert sum(start <= at < start + 60 for at in landed) <= most
    assert len(window.taken) <= limits.life + 1
