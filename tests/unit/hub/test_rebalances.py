"""Which Rebalances a change of a binding wakes."""

from typing import Any

import orjson
import pytest

from federation.api.naming import binding_name
from federation.hub.caches import HubCaches
from federation.hub.rebalance.controller import Rebalances
from federation.kube.client import Client
from federation.kube.store import Cached, Change, read
from federation.sandbox import ApiServer

Manifest = dict[str, Any]


def workload(name: str, place: str | None = "shop") -> Manifest:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "name": name, **({"namespace": place} if place else {})}


def asked(name: str, *workloads: Manifest, version: int = 1, **status: Any) -> bytes:
    metadata = {"name": name, "uid": name, "resourceVersion": str(version)}
    return orjson.dumps({"metadata": metadata, "spec": {"workloads": list(workloads)}, "status": status})


def changed(name: str, place: str = "shop") -> Change:
    key = binding_name("apps", "Deployment", place, name)
    return Change(
        None, read(orjson.dumps({"metadata": {"name": key, "namespace": place, "uid": name, "resourceVersion": "1"}}))
    )


class Queue:
    def __init__(self) -> None:
        self.woken: list[str] = []

    def add_after(self, name: str, _seconds: float) -> None:
        self.woken.append(name)


def woken(controller: Rebalances, change: Change) -> list[str]:
    controller._queue = queue = Queue()  # type: ignore[assignment]
    controller._binding_changed(change)
    return sorted(queue.woken)


async def test_a_binding_wakes_those_that_wait_for_it_and_no_other_is_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caches = HubCaches(Client(ApiServer("hub").transport(), name="hub"), hub_id="hub")
    controller = Rebalances(caches)
    for one in (
        asked("one", workload("web"), workload("api")), asked("two", workload("web")), asked("other", workload("web", "bank")),
        asked("done", workload("web"), finishTime="2026-08-01T10:00:00Z"),
    ):  # fmt: skip
        caches.rebalances.put(one)
    decoded: list[str] = []
    manifest = Cached.manifest
    monkeypatch.setattr(Cached, "manifest", lambda entry: decoded.append(entry.name) or manifest(entry))
    assert woken(controller, changed("web")) == ["one", "two"]
    assert woken(controller, changed("api")) == ["one"]
    assert woken(controller, changed("web", "bank")) == ["other"]
    assert woken(controller, changed("nobody")) == []
    assert decoded == []
    caches.rebalances.put(asked("two", workload("web"), version=2, finishTime="2026-08-01T10:00:00Z"))
    assert woken(controller, changed("web")) == ["one"]
