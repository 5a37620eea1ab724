"""A seeded sample of the sweep: some scenarios, any fault, any write. `make test` runs it."""

import random

import pytest

from tests.faults.book import Book
from tests.faults.faults import FAULTS
from tests.faults.scenarios import SCENARIOS

SCENARIOS_DRAWN = 2
"""Each scenario costs a run without faults first, so a sample stays with a few."""


@pytest.mark.timeout(600)
def test_a_sample_of_the_sweep_ends_as_the_undisturbed_runs(book: Book, pytestconfig: pytest.Config) -> None:
    dice = random.Random(book.seed)
    sandbox = pytestconfig.getoption("--faults-sandbox")
    known = [name for name, scenario in SCENARIOS.items() if not (sandbox and scenario.cluster)]
    scenarios = dice.sample(known, SCENARIOS_DRAWN)
    swept = [name for name, fault in FAULTS.items() if fault.swept]
    reds: list[str] = []
    for number in range(pytestconfig.getoption("--faults-sample")):
        scenario = dice.choice(scenarios)
        # Every other run is a write's: crashes and lost replies are what breaks naive code.
        fault = dice.choice(swept if number % 2 else sorted(FAULTS))
        writes = len(book.reference(scenario).writes)
        nth = dice.randint(1, writes) if FAULTS[fault].swept else 1
        outcome, wrong = book.tried(scenario, fault, nth)
        reds += [wrong] if wrong else []
        book.report.append(
            f"  {scenario}/{fault}/{nth}: {len(outcome.hits)} hit, {outcome.seconds:.1f} s{', RED' if wrong else ''}"
        )
    assert not reds, "\n\n".join(reds)
