"""Names of kopf's handlers: kopf makes annotations of a Cluster of them, beside ours."""

import re

import pytest

from federation.api.meta import GROUP, LEAVE_ANNOTATION
from federation.operator.run import _registry

ANNOTATION_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")


@pytest.fixture
def names() -> list[str]:
    registry = _registry(None, None, None)  # type: ignore[arg-type]
    parts = (registry._watching, registry._spawning, registry._changing)
    return [str(handler.id) for part in parts for handler in part._handlers]


def test_each_handler_has_a_name_that_an_annotation_may_have(names: list[str]) -> None:
    assert len(names) == 3
    assert all(ANNOTATION_NAME.fullmatch(name) for name in names), names


def test_no_handler_is_named_as_an_annotation_of_ours(names: list[str]) -> None:
    assert LEAVE_ANNOTATION not in {f"{GROUP}/{name}" for name in names}
