"""Every scenario under every fault, at every write: the end is that of the undisturbed run (I9, I10), and the journal of
hub and members keeps the invariants at every state. `make test-faults` runs it.
"""

import pytest

from tests.faults.book import Book
from tests.faults.faults import FAULTS
from tests.faults.scenarios import SCENARIOS
from tests.faults.sweep import run

BEYOND = 6
"""A disturbed run may need more writes than the undisturbed one; the sweep goes on while there is one to hit, this far."""
CASES = [(scenario, fault) for scenario in SCENARIOS for fault in FAULTS]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "fault" not in metafunc.fixturenames:
        return
    case = metafunc.config.getoption("--faults-case", default="")
    scenario, _, rest = case.partition("/")
    sandbox = metafunc.config.getoption("--faults-sandbox", default=False)
    known = [one for one in CASES if not (sandbox and SCENARIOS[one[0]].cluster)]
    chosen = [(scenario, rest.rpartition("/")[0])] if case else known
    metafunc.parametrize(("scenario", "fault"), chosen, ids=[f"{one}-{other}" for one, other in chosen])


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_two_undisturbed_runs_are_equal(book: Book, scenario: str) -> None:
    reference = book.reference(scenario)
    wrong = run(book.rig, scenario, like=reference).compared(reference)
    assert not wrong, "\n".join(wrong)


@pytest.mark.timeout(1200)
def test_a_fault_at_any_write_changes_nothing_in_the_end(
    book: Book, pytestconfig: pytest.Config, scenario: str, fault: str
) -> None:
    case = pytestconfig.getoption("--faults-case", default="")
    writes = len(book.reference(scenario).writes)
    last = writes + BEYOND if FAULTS[fault].swept else 1
    reds: list[str] = []
    hit = seconds = runs = 0.0
    for nth in [int(case.rpartition("/")[2])] if case else range(1, last + 1):
        outcome, wrong = book.tried(scenario, fault, nth)
        reds += [wrong] if wrong else []
        runs, hit, seconds = runs + 1, hit + bool(outcome.hits), seconds + outcome.seconds
        if FAULTS[fault].swept and nth > writes and not outcome.hits:
            break
    book.report.append(f"  {scenario:8} {fault:26} {runs:3.0f} runs, {hit:3.0f} hit, {len(reds)} red, {seconds:5.1f} s")
    assert not reds, "\n\n".join(reds)
