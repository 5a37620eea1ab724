"""What an answer of a member means, in the words of its line."""

from types import SimpleNamespace

import pytest

from federation.hub.execute.apply import Applier
from federation.kube.errors import ApiError, Conflict, Unavailable

REFERENCE = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
LOST = Unavailable(0, "Unreachable", "connection reset")
CASES: dict[str, tuple[ApiError, bool, str]] = {
    "a request that was lost does not make a member unreachable": (LOST, True, "NoAnswer"),
    "a member whose probes fail is": (LOST, False, "Unreachable"),
    "an answer is an answer": (Unavailable(503, "ServiceUnavailable", "later"), True, "ServiceUnavailable"),
    "somebody was first": (Conflict(409, "Conflict", "the object has been modified"), True, "Conflict"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_reason_of_a_step_that_failed(case: str) -> None:
    error, reachable, reason = CASES[case]
    member = SimpleNamespace(name="m1", reachable=reachable, resource_of=lambda _: None)
    assert Applier.explain(None, member, REFERENCE, error)[0] == reason  # type: ignore[arg-type]
