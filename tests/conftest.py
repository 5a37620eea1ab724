"""For all layers: a run that is told to end ends its clusters first."""

import signal


def pytest_configure() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
