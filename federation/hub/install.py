"""Install or check our CRDs at start: an absent or older one is written, an equal one is left, a newer one stays.

The schema version is an integer annotation that only grows, so an older process never narrows what a newer one made.
"""

import asyncio
import logging

from federation.api.crds import all_crds
from federation.api.meta import SCHEMA_VERSION_ANNOTATION, Manifest
from federation.kube.client import Client
from federation.kube.errors import Forbidden
from federation.kube.resource import CRDS

log = logging.getLogger(__name__)


class CrdsMissing(Exception):
    """The CRDs are absent or too old and this process may not write them; the message says what to run."""


def outdated(wanted: list[Manifest], present: dict[str, Manifest]) -> list[Manifest]:
    """The CRDs to write. Pure."""
    return [crd for crd in wanted if _version(present.get(crd["metadata"]["name"])) < _version(crd)]


async def install_crds(client: Client) -> None:
    """Make the API server serve our kinds in this version or a newer one. A restart is one read per process."""
    wanted = all_crds()
    names = {crd["metadata"]["name"] for crd in wanted}
    page = await client.list(CRDS)
    present = {crd["metadata"]["name"]: crd for crd in page.items if crd["metadata"]["name"] in names}
    missing = outdated(wanted, present)
    for crd in missing:
        try:
            await client.apply(CRDS, crd)
        except Forbidden as error:
            raise CrdsMissing(
                f"CustomResourceDefinition {crd['metadata']['name']} is absent or older than this process needs, and it may"
                f" not be written ({error.message}). Run: kubectl apply --server-side -f crds/"
            ) from error
        log.info("installed CRD %s", crd["metadata"]["name"])
    if missing:
        await _wait_served(client, names)


async def _wait_served(client: Client, names: set[str]) -> None:
    while True:
        page = await client.list(CRDS)
        established = {crd["metadata"]["name"] for crd in page.items if _established(crd)}
        if names <= established:
            # Creates within two seconds after Established are delayed by the API server itself (measured).
            return
        await asyncio.sleep(0.1)


def _established(crd: Manifest) -> bool:
    conditions = (crd.get("status") or {}).get("conditions") or []
    return any(entry["type"] == "Established" and entry["status"] == "True" for entry in conditions)


def _version(crd: Manifest | None) -> int:
    if crd is None:
        return 0
    text = (crd["metadata"].get("annotations") or {}).get(SCHEMA_VERSION_ANNOTATION, "0")
    return int(text) if text.isdigit() else 0
