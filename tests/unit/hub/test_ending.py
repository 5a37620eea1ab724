"""Which clusters must prove that they hold nothing before a binding may go."""

import pytest

from federation.hub.execute.ending import may_hold


@pytest.mark.parametrize(
    ("line", "held"),
    [
        pytest.param("health=Healthy for=1 epoch=1 hash=aa uid=u", True, id="a copy that was applied"),
        pytest.param("reason=Unreachable error=gone", True, id="an answer that was lost may have been a creation"),
        pytest.param("reason=Forbidden error=no", False, id="a kind that could never be read or written"),
        pytest.param("reason=KindMissing error=no", False, id="a kind that was never served"),
        pytest.param("reason=Forbidden for=1 epoch=1 uid=u", True, id="a right that was taken away later"),
    ],
)
def test_only_a_member_where_every_write_was_refused_cannot_hold_a_copy(line: str, held: bool) -> None:
    assert may_hold(line) is held
