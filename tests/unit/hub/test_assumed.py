"""What is decided and not in a member's summary yet: deducted from the moment of the decision, for the binding itself too."""

import time
from dataclasses import replace

import pytest

from federation.api.binding import Decision
from federation.hub.schedule.assumed import SETTLING, Assumed
from federation.interpret import Requirements
from federation.schedule.decide import schedule
from tests.unit.schedule.build import AGGREGATED, binding, member

KEY = ("shop", "web")
ASKS = Requirements(resource_request={"cpu": "8"})
VIEW = binding(AGGREGATED, replicas=10, requirements=ASKS)
TWELVE = member("m1")
assert TWELVE.summary is not None
TWELVE = replace(TWELVE, summary=TWELVE.summary.model_copy(update={"allocatable": {"pods": "110", "cpu": "96"}}))


def decided(targets: dict[str, int]) -> Decision:
    return Decision(epoch=1, trigger="Created", inputs="{}", targets=targets)


def test_a_share_counts_while_its_decision_is_written_and_is_taken_back_when_that_fails() -> None:
    assumed = Assumed(lambda _: 0.0)
    with assumed.taking(KEY, VIEW, decided({"m1": 10})):
        assert assumed.by_cluster([TWELVE]) == {"m1": [(ASKS, 10)]}
    assert assumed.by_cluster([TWELVE]) == {"m1": [(ASKS, 10)]}
    assumed = Assumed(lambda _: 0.0)
    with pytest.raises(ValueError, match="lost"), assumed.taking(KEY, VIEW, decided({"m1": 10})):
        raise ValueError("lost")
    assert not assumed.by_cluster([TWELVE])


def test_a_workload_that_grows_before_its_pods_are_in_the_summary_does_not_take_their_room_twice() -> None:
    assumed = Assumed(lambda _: 0.0)
    first = schedule(VIEW, [TWELVE]).decision
    assert first is not None
    assumed.take(KEY, VIEW, first)
    grown = replace(VIEW, previous=first, replicas=15)
    outcome = schedule(grown, [TWELVE], assumed=assumed.by_cluster([TWELVE]))
    assert outcome.error is not None, "twelve fit, whatever the summary of a moment ago says"
    twelve = schedule(replace(grown, replicas=12), [TWELVE], assumed=assumed.by_cluster([TWELVE])).decision
    assert twelve is not None
    assert twelve.targets == {"m1": 12}


def test_a_share_is_dropped_once_the_summary_was_found_true_after_it_though_its_numbers_did_not_move() -> None:
    moments = [0.0]
    assumed = Assumed(lambda _: moments[0])
    assumed.take(KEY, VIEW, decided({"m1": 10}))
    moments[0] = time.time() + SETTLING / 2
    assert assumed.by_cluster([TWELVE]) == {"m1": [(ASKS, 10)]}, "its pods may not be there yet"
    moments[0] = time.time() + SETTLING + 1
    assert assumed.by_cluster([TWELVE]) == {"m1": []}
