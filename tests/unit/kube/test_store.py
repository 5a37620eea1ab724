"""The cache of one kind: what an own write may bring in, and for how long a deletion is remembered."""

import orjson
import pytest

from federation.kube import store as store_module
from federation.kube.store import REMEMBERED, Store


def raw(name: str, version: int) -> bytes:
    return orjson.dumps(
        {"metadata": {"name": name, "namespace": "shop", "uid": f"uid-{name}", "resourceVersion": str(version)}}
    )


class Clock:
    """Stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(store_module, "time", found)
    return found


def test_the_late_answer_to_a_write_never_brings_back_what_was_seen_deleted(clock: Clock) -> None:
    store = Store("v1", "ConfigMap")
    store.put(raw("a", 1))
    store.remove(raw("a", 2))
    for number in range(10_000):
        store.remove(raw(f"other-{number}", 3))
    clock.now += REMEMBERED / 2
    store.learn(raw("a", 2))
    assert store.get("shop", "a") is None, "however much else was deleted meanwhile"


def test_deletions_are_forgotten_when_no_answer_can_be_under_way_any_more(clock: Clock) -> None:
    store = Store("v1", "ConfigMap")
    for number in range(100):
        store.remove(raw(f"old-{number}", 1))
    clock.now += REMEMBERED + 1
    store.remove(raw("new", 2))
    assert len(store._deleted) == 1
