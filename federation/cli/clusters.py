"""`fedctl join`, `leave` and `allow`: what needs a member's administrator, or decides about a member."""

import asyncio
import base64
import time
from collections.abc import Sequence
from dataclasses import dataclass

import click

from federation.api.lines import parse_line
from federation.api.meta import LEAVE_ANNOTATION, Manifest
from federation.api.words import first
from federation.cli.session import Refused
from federation.hub.held import HELD
from federation.hub.record import hub_identity
from federation.hub.views import condition, lines_of, template_text
from federation.kube.client import Client
from federation.kube.credentials import Credentials
from federation.kube.errors import Forbidden, Invalid, NotFound
from federation.kube.resource import CLUSTERS
from federation.kube.transport import AioTransport
from federation.operator.join import (
    JoinRefused,
    allow,
    check_identity,
    cluster_id,
    create_cluster,
    known_ids,
    prepare_member,
    request_token,
    store_token,
)
from federation.operator.leave import holding, holdings
from federation.operator.rights import allowed_rules, describe, looking_rules, usual_rules


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a member is, and its labels."""

    region: str | None
    zones: Sequence[str]
    provider: str | None
    labels: dict[str, str]


async def join(
    hub: Client, name: str, admin: Credentials, *, place: Place, allow_kinds: Sequence[str], renew: bool, wait: float
) -> None:
    """Join a member, or with `renew` only make a fresh token for one that joined. Raises JoinRefused, UnknownKind."""
    member = Client(AioTransport(admin), name=name)
    try:
        hub_id, identity = await cluster_id(hub), await cluster_id(member)
        clusters = (await hub.list(CLUSTERS)).items
        existing = next((one for one in clusters if one["metadata"]["name"] == name), None)
        _check_name(name, existing, identity, renew=renew)
        check_identity(name, identity, hub_id=hub_id, clusters=clusters)
        discovery = await member.discover()
        rules = [*usual_rules(), *looking_rules(discovery), *allowed_rules(allow_kinds, discovery)]
        if not renew:
            click.echo(f"In {name} the hub will be allowed (service account federation-system/federation-hub):")
            for line in describe(rules):
                click.echo(f"  {line}")
            await prepare_member(member, rules, hub_id=await hub_identity(hub))
        token = await request_token(member)
    finally:
        await member.close()
    await store_token(hub, name, token=token, ca_pem=admin.ca_pem)
    if renew:
        click.echo(f"{name} has a fresh token")
        return
    await create_cluster(hub, name, labels=place.labels, spec=_spec(admin, identity, place))
    click.echo(f"{name} is created; waiting for the hub to connect")
    await _wait_ready(hub, name, wait)


def _check_name(name: str, existing: Manifest | None, identity: str, *, renew: bool) -> None:
    if renew:
        if existing is None:
            raise JoinRefused(f"there is no cluster {name!r} to renew")
        claimed = existing["spec"].get("id")
        if claimed and claimed != identity:
            raise JoinRefused(f"the kubeconfig leads to another cluster ({identity}) than {name!r} ({claimed})")
    elif existing is not None and identity in known_ids(existing):
        raise JoinRefused(
            f"{name!r} has joined already; for a fresh token run: fedctl join {name} --renew --kubeconfig F"
        )
    elif existing is not None:
        raise JoinRefused(f"the name {name!r} is taken by another cluster; choose another, or run: fedctl leave {name}")


def _spec(admin: Credentials, identity: str, place: Place) -> Manifest:
    spec: Manifest = {"id": identity, "apiEndpoint": admin.endpoint}
    if admin.ca_pem:
        spec["caBundle"] = base64.b64encode(admin.ca_pem).decode()
    if admin.insecure:
        spec["insecureSkipTLSVerification"] = True
    for key, value in (("proxyURL", admin.proxy_url), ("region", place.region), ("provider", place.provider)):
        if value:
            spec[key] = value
    if place.zones:
        spec["zones"] = list(place.zones)
    return spec


async def _wait_ready(hub: Client, name: str, patience: float) -> None:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        cluster = await hub.get(CLUSTERS, name)
        joined, ready = condition(cluster, "Joined"), condition(cluster, "Ready")
        if joined and joined["status"] == "False":
            raise Refused(f"{name} did not join: {joined['reason']}: {joined['message']}")
        if joined and ready and ready["status"] == "True":
            click.echo(f"{name} is ready ({(cluster.get('status') or {}).get('kubernetesVersion', '')})")
            return
        await asyncio.sleep(0.2)
    raise Refused(f"{name} is not ready after {patience:.0f} s; is the hub process running? See: fedctl get clusters")


async def allow_kinds(hub: Client, name: str, admin: Credentials, kinds: Sequence[str]) -> None:
    """Give the hub more rights in a member. Raises JoinRefused, UnknownKind."""
    try:
        await hub.get(CLUSTERS, name)
    except NotFound as error:
        raise Refused(f"there is no cluster {name!r}; fedctl get clusters lists them") from error
    member = Client(AioTransport(admin), name=name)
    try:
        rules = allowed_rules(kinds, await member.discover())
        for rule in rules:
            click.echo(f"In {name} the hub will also be allowed: {rule}")
        await allow(member, rules)
    finally:
        await member.close()


async def leave(hub: Client, name: str, *, mode: str, wait: float) -> None:
    """Take a member out. `mode`: remove, keep or force."""
    try:
        await hub.get(CLUSTERS, name)
    except NotFound as error:
        raise Refused(f"there is no cluster {name!r}; fedctl get clusters lists them") from error
    if mode == "force":
        held = await holdings(hub, name)
        click.echo(f"{len(held)} copies are left behind in {name}:")
        for text in held:
            click.echo(f"  {text}")
    await hub.merge_patch(CLUSTERS, name, None, {"metadata": {"annotations": {LEAVE_ANNOTATION: mode}}})
    try:
        await hub.delete(CLUSTERS, name)
    except (Forbidden, Invalid):
        # It stays (deletion protection says so): a later deletion is to ask anew what becomes of the copies.
        await hub.merge_patch(CLUSTERS, name, None, {"metadata": {"annotations": {LEAVE_ANNOTATION: None}}})
        raise
    deadline = time.monotonic() + wait
    said: list[str] = []
    while time.monotonic() < deadline:
        try:
            await hub.get(CLUSTERS, name)
        except NotFound:
            click.echo(f"{name} has left")
            return
        await asyncio.sleep(0.2)
        left = await remaining(hub, name)
        if left != said and time.monotonic() > deadline - wait + PATIENCE:
            _say_remaining(name, left)
            said = left
    left = await remaining(hub, name)
    listed = ", ".join(left[:10]) or "nothing; is the hub process running?"
    raise Refused(
        f"{name} is still leaving after {wait:.0f} s; it holds: {listed}. It goes on by itself once they fit elsewhere; to end"
        f" it now: fedctl leave {name} --keep (they stay there, without our marks), or --force for a dead member"
    )


PATIENCE = 3.0
"""Seconds before a leave that is still waiting says for what."""


def _say_remaining(name: str, left: Sequence[str]) -> None:
    if left:
        click.echo(f"{name} still holds {len(left)}:")
    for text in first(left, 10):
        click.echo(f"  {text}")


async def remaining(hub: Client, name: str) -> list[str]:
    """The templates of which a leaving member still holds copies, each with what it waits for."""
    found = []
    for binding in await holding(hub, name):
        line = parse_line(lines_of(binding)[name])
        scheduled = condition(binding, "Scheduled") or {}
        why = f" ({scheduled['reason']}: {scheduled['message']})" if scheduled.get("message") else ""
        if line.get("reason") == HELD:
            why = f" (held by the brake; let it go: fedctl approve {line.get('plan')})"
        found.append(template_text(binding) + why)
    return sorted(found)
