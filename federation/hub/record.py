"""The hub's own ConfigMap: who it is, where it is in its history (`timeline.py`), and how many shards there are."""

from federation.api.meta import SYSTEM_NAMESPACE
from federation.hub.timeline import Record, read_record
from federation.kube.client import Client
from federation.kube.errors import NotFound
from federation.kube.resource import CONFIG_MAPS, NAMESPACES

RECORD = "federation-hub"
"""ConfigMap in `federation-system`: the UID of the API server that was found eligible (`hub`), the hub's identity (`id`), its
history, and the number of shards (`shards`; all replicas must be stopped to change it).

The identity outlives the API server: a hub that is rebuilt from git gets the old one back (`fedctl hub identity`).
"""


async def record_of(client: Client) -> tuple[Record, str]:
    """The record by a quorum read, and the resourceVersion that it was read at; empty where there is none yet."""
    try:
        config_map = await client.get(CONFIG_MAPS, RECORD, SYSTEM_NAMESPACE)
    except NotFound:
        return Record(), ""
    return read_record(config_map), str(config_map["metadata"]["resourceVersion"])


async def hub_identity(client: Client) -> str:
    """The identity that marks and labels name: as recorded, else the UID of kube-system."""
    record, _ = await record_of(client)
    return record.id or str((await client.get(NAMESPACES, "kube-system"))["metadata"]["uid"])


async def write_record(client: Client, data: dict[str, str | None]) -> None:
    """Set keys of the hub's ConfigMap, None removes one; makes the ConfigMap where it is missing."""
    try:
        await client.merge_patch(CONFIG_MAPS, RECORD, SYSTEM_NAMESPACE, {"data": data})
    except NotFound:
        kept = {key: value for key, value in data.items() if value is not None}
        metadata = {"name": RECORD, "namespace": SYSTEM_NAMESPACE}
        await client.create(CONFIG_MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": kept})
