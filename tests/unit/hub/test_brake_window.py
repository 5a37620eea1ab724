"""The window of the brake (I15): how many tokens it gives, when they count no more, and what a wrong clock does."""

import pytest

from federation.hub.brake_window import Limits, Window, parse_window, print_window

LIMITS = Limits(objects=5, percent=10.0, seconds=60.0, landing=10.0)

GIVEN = {
    "an empty window gives what is asked": ("", 3, 0, 3),
    "never more than the limit": ("", 20, 0, 5),
    "what was given lately counts": ("990:3:0", 20, 0, 2),
    "a full window gives nothing": ("990:5:0", 1, 0, 0),
    "ten per cent of many copies is more than five": ("990:5:0", 20, 120, 7),
    "what this window removed still counts as managed": ("990:11:120", 20, 109, 1),
    "ten per cent of few copies is not less than five": ("", 20, 9, 5),
    "a token counts until its write has been in a whole window": ("931:5:0", 1, 0, 0),
    "and not a second longer": ("930:5:0", 1, 0, 1),
    "a limit that was lowered meanwhile gives nothing": ("990:50:0", 1, 0, 0),
}


@pytest.mark.parametrize("name", GIVEN)
def test_how_many_tokens_are_given(name: str) -> None:
    stored, asked, managed, given = GIVEN[name]
    assert parse_window(stored).take(asked, managed=managed, limits=LIMITS, now=1000.0)[1] == given


def test_given_tokens_are_stored_and_old_ones_forgotten() -> None:
    window, _ = parse_window("900:5:0 990:2:0").take(2, managed=0, limits=LIMITS, now=999.5)
    assert print_window(window) == "990:2:0 1000:2:0"
    window, _ = window.take(1, managed=0, limits=LIMITS, now=999.9)
    assert print_window(window) == "990:2:0 1000:3:0", "one entry a second bounds what is stored"


def test_a_refusal_changes_nothing_that_is_stored() -> None:
    full = parse_window("900:5:0 990:5:0")
    assert full.take(3, managed=0, limits=LIMITS, now=1000.0) == (full, 0)


def test_a_second_from_a_clock_far_ahead_counts_from_now_and_is_free_again_after_a_window() -> None:
    window, given = parse_window("99999:5:0").take(1, managed=0, limits=LIMITS, now=1000.0)
    assert (print_window(window), given) == ("1000:5:0", 0)
    assert window.take(1, managed=0, limits=LIMITS, now=1071.0)[1] == 1


def test_no_window_of_a_minute_ever_holds_more_than_the_limit() -> None:
    window, given = Window(), []
    for now in range(1000, 1600):
        window, count = window.take(3, managed=0, limits=LIMITS, now=float(now))
        given.extend([now] * count)
    assert all(sum(start <= at <= start + 60 for at in given) <= 5 for start in range(1000, 1600))
    assert len(given) == 5 * 9, "and every window is used"


def test_a_text_that_is_not_ours_is_an_error() -> None:
    with pytest.raises(ValueError, match="not enough values"):
        parse_window("everything")
