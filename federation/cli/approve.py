"""`fedctl approve ID`: let the held changes of one plan go, exactly those that are held now (I15).

They are recorded by their ids in a ConfigMap with the caller's own rights; the hub process lets them pass for an hour.
"""

import time

import click

from federation.api.meta import SYSTEM_NAMESPACE, Manifest
from federation.api.words import first
from federation.cli.held import by_plan, held_changes
from federation.cli.session import Refused
from federation.hub.held import APPROVALS, APPROVED_FOR, HeldChange, with_approval
from federation.kube.client import Client
from federation.kube.errors import AlreadyExists, Conflict, NotFound
from federation.kube.resource import CONFIG_MAPS

LISTED = 50
"""Changes that are printed before the question; the rest is a count."""
_SWAPS = 10


async def approve(hub: Client, plan: str, *, yes: bool) -> None:
    """Print the plan's held changes, ask, and record them. Raises Refused where there is nothing to approve."""
    plans = by_plan(await held_changes(hub))
    if plan not in plans:
        known = f"held are: {', '.join(plans)}" if plans else "nothing is held"
        raise Refused(f"there is no held plan {plan!r}; {known}")
    changes = plans[plan]
    click.echo(f"{changes[0].cause}: {len(changes)} held")
    for line in first([f"{change.what} {change.object} in {change.cluster}" for change in changes], LISTED):
        click.echo(f"  {line}")
    if not yes and not click.confirm("Let exactly these go?"):
        raise Refused("nothing was approved")
    await _record(hub, plan, changes)
    click.echo(f"{len(changes)} approved, for {APPROVED_FOR / 60:.0f} minutes")


async def _record(hub: Client, plan: str, changes: list[HeldChange]) -> None:
    """Compare-and-swap: two people may approve at once."""
    for _ in range(_SWAPS):
        try:
            found = await hub.get(CONFIG_MAPS, APPROVALS, SYSTEM_NAMESPACE)
        except NotFound:
            found = None
        try:
            data = with_approval(
                (found or {}).get("data") or {}, plan, (change.change for change in changes), time.time()
            )
        except ValueError as error:
            raise Refused(f"{error}; wait until earlier approvals are used up or older than an hour") from error
        metadata: Manifest = found["metadata"] if found else {"name": APPROVALS, "namespace": SYSTEM_NAMESPACE}
        manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
        try:
            await (hub.replace(CONFIG_MAPS, manifest) if found else hub.create(CONFIG_MAPS, manifest))
        except (Conflict, AlreadyExists):
            continue
        return
    raise Refused("others approve at the same time; try again")
