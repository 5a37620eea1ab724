"""Whether an API server may serve as a hub: no controller behind it runs workloads (DESIGN section 2).

A Deployment of 0 replicas is put there; a controller that writes its status would also start the pods of every template.
The answer is kept in a ConfigMap, so that a restart stays a pure read (I12).
"""

import asyncio
import contextlib
import logging

from federation.api.meta import SYSTEM_NAMESPACE, Manifest
from federation.hub.record import RECORD, write_record
from federation.kube.client import Client
from federation.kube.errors import AlreadyExists, Forbidden, NotFound
from federation.kube.resource import CONFIG_MAPS, DEPLOYMENTS, NAMESPACES

log = logging.getLogger(__name__)

PROBE = "federation-hub-probe"
PATIENCE, PERIOD = 3.0, 0.25
"""Seconds: a Deployment controller answers within a tenth of one (measured); how often we look."""


class NotAHub(Exception):
    """The API server may not serve as a hub; the message says why."""


async def check_hub(client: Client, hub_id: str, *, patience: float = PATIENCE) -> None:
    """Return if this API server, known by the UID of its kube-system, may be a hub. Raises NotAHub."""
    try:
        record = await client.get(CONFIG_MAPS, RECORD, SYSTEM_NAMESPACE)
    except NotFound:
        record = {}
    if (record.get("data") or {}).get("hub") == hub_id:
        return
    try:
        made = await _make_namespace(client)
        try:
            runs_workloads = await _answers(client, patience)
        except BaseException:
            await _clean(client, namespace=made)
            raise
        await _clean(client, namespace=made and runs_workloads)
        if not runs_workloads:
            await _remember(client, hub_id, record)
    except Forbidden as error:
        raise NotAHub(
            f"whether this API server may be a hub cannot be found out ({error.message}). Run: kubectl apply --server-side -k deploy/"
        ) from error
    if runs_workloads:
        raise NotAHub(
            "a controller of this API server writes the status of Deployments: every template would run here too. Use an"
            " API server whose kube-controller-manager runs without the workload controllers (docs/clusters.md, The hub)"
        )


async def _make_namespace(client: Client) -> bool:
    """Whether the namespace had to be made."""
    try:
        await client.get(NAMESPACES, SYSTEM_NAMESPACE)
    except NotFound:
        await client.create(
            NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM_NAMESPACE}}
        )
        return True
    return False


async def _answers(client: Client, patience: float) -> bool:
    with contextlib.suppress(AlreadyExists):  # a start that was killed left it: its status tells as well
        await client.create(DEPLOYMENTS, _probe())
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience
    while loop.time() < deadline:
        found = await client.get(DEPLOYMENTS, PROBE, SYSTEM_NAMESPACE)
        if found.get("status"):
            return True
        await asyncio.sleep(PERIOD)
    return False


def _probe() -> Manifest:
    labels = {"app": PROBE}
    container = {"name": "none", "image": "registry.invalid/none"}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": PROBE, "namespace": SYSTEM_NAMESPACE},
        "spec": {
            "replicas": 0, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }  # fmt: skip


async def _clean(client: Client, *, namespace: bool) -> None:
    with contextlib.suppress(NotFound):
        await client.delete(DEPLOYMENTS, PROBE, SYSTEM_NAMESPACE)
    if namespace:
        with contextlib.suppress(NotFound):
            await client.delete(NAMESPACES, SYSTEM_NAMESPACE)


async def _remember(client: Client, hub_id: str, record: Manifest) -> None:
    data: dict[str, str | None] = {"hub": hub_id}
    if not (record.get("data") or {}).get("id"):
        data["id"] = hub_id
    await write_record(client, data)
    log.info("no workload controller runs behind this API server: it may be a hub")
