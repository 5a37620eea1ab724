"""For all layers: a run that is told to end ends its clusters first; how many random commits are planned."""

import signal

import pytest

PLANNED = 12
"""Random commits in a run of every layer on sandboxes; a third of them on real clusters. `make test-plan` takes more."""


def pytest_configure() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--plan-steps", type=int, default=PLANNED, help="Random commits that are planned and then made.")
    parser.addoption("--plan-seed", type=int, default=7, help="Seed of the random commits.")


@pytest.fixture
def plan_steps(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--plan-steps"))


@pytest.fixture
def plan_seed(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--plan-seed"))
