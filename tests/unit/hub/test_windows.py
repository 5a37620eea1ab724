"""How often a binding's status is written while its members move."""

import pytest

from federation.hub.execute.windows import Windows

KEY = ("shop", "web")


@pytest.fixture
def windows() -> Windows:
    return Windows(first=0.2, last=5.0)


def test_what_changes_at_once_is_written_at_once(windows: Windows) -> None:
    assert windows.wait(KEY, at_once=True, now=10.0) == 0
    assert windows.wait(KEY, at_once=True, now=10.01) == 0


def test_the_first_write_of_a_change_waits_for_the_members_that_settle_within_one_window(windows: Windows) -> None:
    assert windows.wait(KEY, at_once=False, now=10.0) == pytest.approx(0.2)
    assert windows.wait(KEY, at_once=False, now=10.15) == pytest.approx(0.05)
    assert windows.wait(KEY, at_once=False, now=10.2) == 0


def test_it_does_not_wait_any_longer_once_everything_settled(windows: Windows) -> None:
    windows.wait(KEY, at_once=False, now=10.0)
    assert windows.wait(KEY, at_once=True, now=10.05) == 0


def test_a_rollout_is_written_once_a_window_that_doubles_to_the_last(windows: Windows) -> None:
    now, pauses = 10.0, []
    for _ in range(9):
        pause = windows.wait(KEY, at_once=False, now=now)
        while pause:
            pauses.append(round(pause, 3))
            now += pause
            pause = windows.wait(KEY, at_once=False, now=now)
        now += 0.01
    assert pauses == [0.2, 0.39, 0.79, 1.59, 3.19, 4.99, 4.99, 4.99, 4.99]


def test_after_a_short_quiet_the_first_write_gathers_and_the_windows_stay_long(windows: Windows) -> None:
    windows.wait(KEY, at_once=True, now=10.0)  # open until 10.4
    assert windows.wait(KEY, at_once=False, now=10.6) == pytest.approx(0.2)
    assert windows.wait(KEY, at_once=False, now=10.8) == 0
    assert windows.wait(KEY, at_once=False, now=10.81) == pytest.approx(0.79)


def test_after_a_whole_window_of_quiet_the_windows_begin_anew(windows: Windows) -> None:
    windows.wait(KEY, at_once=True, now=10.0)
    windows.wait(KEY, at_once=True, now=10.1)  # length 0.8, open until 10.9
    assert windows.wait(KEY, at_once=False, now=20.0) == pytest.approx(0.2)
    windows.wait(KEY, at_once=False, now=20.2)
    assert windows.wait(KEY, at_once=False, now=20.21) == pytest.approx(0.39)


def test_bindings_do_not_share_windows(windows: Windows) -> None:
    windows.wait(KEY, at_once=True, now=10.0)
    assert windows.wait(("shop", "other"), at_once=False, now=10.0) == pytest.approx(0.2)
