"""What the loop reports: everything, but for the noise of connections that we closed ourselves."""

from typing import Any

import pytest

from federation.logs import unhandled


class _Loop:
    def __init__(self) -> None:
        self.reported: list[dict[str, Any]] = []

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        self.reported.append(context)


CLOSED = RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")


@pytest.mark.parametrize(
    ("message", "error", "told"),
    [
        ("Fatal error on SSL protocol\nprotocol: x", CLOSED, False),
        ("Fatal error on SSL protocol\nprotocol: x", RuntimeError("record layer failure"), True),
        ("Task exception was never retrieved", CLOSED, True),
    ],
)
def test_only_data_after_the_end_of_a_connection_is_not_reported(message: str, error: Exception, told: bool) -> None:
    loop: Any = _Loop()
    unhandled(loop, {"message": message, "exception": error})
    assert bool(loop.reported) is told
