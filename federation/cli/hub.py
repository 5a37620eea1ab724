"""`fedctl hub status | resume | identity`: who the hub is, whether it went back in time, and going on after a look."""

import contextlib

import click

from federation.api.meta import SYSTEM_NAMESPACE, Manifest
from federation.cli.orphans import find, print_orphans
from federation.cli.output import show
from federation.cli.session import Refused
from federation.hub.record import RECORD, hub_identity, record_of, write_record
from federation.hub.timeline import numbers_text, resumed
from federation.kube.client import Client
from federation.kube.errors import AlreadyExists, Conflict, NotFound
from federation.kube.resource import CLUSTERS, CONFIG_MAPS, NAMESPACES

ID_LIMIT = 128


async def status(hub: Client, output: str) -> None:
    """Identity, incarnation, and whether the hub is behind its members."""
    record, _ = await record_of(hub)
    behind = record.behind
    facts: Manifest = {
        "identity": await hub_identity(hub), "incarnation": record.incarnation, "behind": behind is not None,
        "forks": {str(key): value for key, value in record.forks.items()}, "notComparedYet": sorted(record.unseen),
    }  # fmt: skip
    if behind is not None:
        facts |= {
            "since": behind.since, "remembers": str(behind.hub), "membersShow": str(behind.highest),
            "ahead": list(behind.ahead), "aheadCount": behind.count,
        }  # fmt: skip
    if show(facts, output):
        return
    click.echo(f"identity:    {facts['identity']}")
    click.echo(f"incarnation: {record.incarnation}")
    for name in record.unseen:
        click.echo(f"not compared yet, as it does not answer: {name}")
    if behind is None:
        click.echo("in step with its members")
        return
    click.echo(
        f"HubBehindMembers since {behind.since}: this hub remembers {behind.hub}, its members show {behind.highest}."
        " Nothing is deleted, unmarked or shrunk."
    )
    _print_ahead(behind.ahead, behind.count)
    click.echo("After a look: fedctl hub resume")


async def resume(hub: Client, *, yes: bool) -> None:
    """Go on from what the hub remembers, after printing what it does not. Raises Refused."""
    record, version = await record_of(hub)
    behind = record.behind
    if behind is None:
        raise Refused("the hub is not behind its members; there is nothing to resume")
    click.echo(f"Written to members after {behind.hub}, and not remembered by this hub:")
    _print_ahead(behind.ahead, behind.count)
    click.echo("Objects in members without a binding (they stay; fedctl orphans lists them again):")
    result = await find(hub)
    print_orphans(result)
    for name, why in result.silent.items():
        click.echo(f"{name} could not be asked: {why}")
    click.echo(
        "After this the members follow the hub again: what it remembers differently is changed, shrunk or removed."
    )
    if not yes:
        click.confirm("Resume?", abort=True)
    after = resumed(record)
    data = {"incarnation": str(after.incarnation), "forks": numbers_text(after.forks), "behind": None}
    patch: Manifest = {"metadata": {"resourceVersion": version}, "data": data}
    try:
        await hub.merge_patch(CONFIG_MAPS, RECORD, SYSTEM_NAMESPACE, patch)
    except Conflict as error:
        raise Refused("the hub found out more meanwhile; look again: fedctl hub status") from error
    click.echo(f"resumed: incarnation {after.incarnation}")


async def identity(hub: Client, wanted: str | None) -> None:
    """Print the identity, or give a new hub that of the one that it replaces. Raises Refused."""
    current = await hub_identity(hub)
    if wanted is None:
        click.echo(current)
        return
    if not wanted or len(wanted) > ID_LIMIT or any(char.isspace() for char in wanted):
        raise Refused(f"an identity is one word of at most {ID_LIMIT} characters, as fedctl hub identity prints it")
    if wanted == current:
        click.echo(f"this hub is {current} already")
        return
    try:
        joined = sorted(one["metadata"]["name"] for one in (await hub.list(CLUSTERS)).items)
    except NotFound:  # our kinds are not installed yet
        joined = []
    if joined:
        raise Refused(
            f"clusters have joined this hub as {current}: {', '.join(joined[:10])}. Only a hub without clusters takes over the"
            " identity of another; let them leave first, or rebuild the hub empty"
        )
    with contextlib.suppress(AlreadyExists):
        await hub.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM_NAMESPACE}})
    await write_record(hub, {"id": wanted})
    click.echo(f"this hub is {wanted} now; a hub process that runs ends and starts anew under it")


def _print_ahead(names: tuple[str, ...], count: int) -> None:
    for name in names:
        click.echo(f"  {name}")
    if count > len(names):
        click.echo(f"  and {count - len(names)} more")
