"""The lab of the fault tests: real clusters with a proxy in front of each, for the whole run; seed, choice and figures."""

import os
import random
import sys
import time
from collections.abc import Iterator

import pytest

from hack.lab.providers import cluster_set
from tests.e2e.lab import Lab
from tests.faults.book import SEEDS, Book
from tests.faults.rig import Rig
from tests.faults.sandbox import SandboxRig

REPORT = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("faults")
    group.addoption("--faults-seed", type=int, help="Seed of the sample and of delays; default: a random one, printed.")
    group.addoption("--faults-sample", type=int, default=6, help="How many runs the sample draws.")
    group.addoption("--faults-case", default="", help="One case only: 'scenario/fault/n'.")
    group.addoption("--faults-sandbox", action="store_true", help="Sandboxes in place of clusters; no join, no leave.")
    group.addoption(
        "--faults-full", action="store_true", help="Long partitions and large numbers, as in `make test-faults`."
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[REPORT] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent.name == "faults" and item.path.parent.parent.name == "tests":
            item.add_marker(pytest.mark.e2e)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash[REPORT]:
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def rig(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Rig]:
    """The clusters (or sandboxes) with our process behind the proxies; member1 to member3 joined."""
    if pytestconfig.getoption("--faults-sandbox", default=False):
        sandbox = SandboxRig(tmp_path_factory.mktemp("rig"))
        sandbox.up()
        yield sandbox
        sandbox.down()
        return
    clusters = cluster_set(os.environ.get("FEDERATION_TEST_SET") or f"faults-{os.getpid()}")
    clusters.up(members=4)
    found = Rig(Lab(clusters, tmp_path_factory.mktemp("hub")), tmp_path_factory.mktemp("rig"))
    try:
        found.up()
        yield found
    finally:
        found.down()
        if not os.environ.get("FEDERATION_TEST_SET"):
            clusters.down()


@pytest.fixture(scope="session")
def book(rig: Rig, pytestconfig: pytest.Config) -> Iterator[Book]:
    """What the session finds out; the seed is printed whatever happens."""
    seed = pytestconfig.getoption("--faults-seed", default=None)
    seed = random.SystemRandom().randrange(SEEDS) if seed is None else seed
    full = bool(pytestconfig.getoption("--faults-full", default=False))
    found = Book(rig=rig, seed=seed, full=full, report=pytestconfig.stash[REPORT])
    found.report.append(f"faults: seed {seed} (again with --faults-seed {seed})")
    sys.stderr.write(f"faults: seed {seed}\n")
    yield found
    found.report.append(f"faults: {time.monotonic() - found.began:.0f} s in all")
