"""`fedctl orphans`: every marked object in the members that no binding leads to, with the reason why it stays.

Read with the hub's own tokens. Only `--delete`, after a question, removes what the hub itself keeps.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import click

from federation.api.lines import Moment
from federation.api.meta import Manifest
from federation.api.naming import short_hash
from federation.cli.output import show, table
from federation.cli.session import Refused, member_client
from federation.hub.evidence import template_evidence
from federation.hub.execute.orphans import Fate, Verdict, fate
from federation.hub.history import lease_versions
from federation.hub.marks import marked_objects
from federation.hub.record import hub_identity, record_of
from federation.hub.timeline import Marked
from federation.kube.client import Client
from federation.kube.credentials import CredentialsError
from federation.kube.discovery import Discovery
from federation.kube.errors import ApiError, NotFound
from federation.kube.resource import (
    CLUSTER_RESOURCE_BINDINGS,
    CLUSTERS,
    CRDS,
    RESOURCE_BINDINGS,
    Resource,
)


@dataclass(frozen=True, slots=True)
class HubView:
    """The hub as one command sees it."""

    client: Client
    discovery: Discovery
    ending: frozenset[str]
    """Names of the definitions that are being deleted."""

    def resource_of(self, api_version: str, kind: str) -> Resource | None:
        """The served resource of a kind, in that version or in the preferred one."""
        return self.discovery.find(api_version, kind) or self.discovery.find_kind(
            api_version.rpartition("/")[0], kind
        )  # fmt: skip

    def definition_ends(self, resource: Resource) -> bool:
        """Whether the CRD of a kind is being deleted."""
        return f"{resource.plural}.{resource.group}" in self.ending


@dataclass(frozen=True, slots=True)
class Orphans:
    """What was found, and the members that could not be asked (name and why)."""

    found: list[tuple[Marked, Verdict]]
    silent: dict[str, str]


async def all_marked(hub: Client, hub_id: str, clusters: Iterable[str]) -> tuple[list[Marked], dict[str, str]]:
    """Marked objects of the members, and the members that could not be asked."""
    found: list[Marked] = []
    silent: dict[str, str] = {}
    for name in clusters:
        try:
            member = await member_client(hub, name)
        except (ApiError, CredentialsError) as error:
            silent[name] = str(error)
            continue
        try:
            found += await marked_objects(
                member, await member.discover(), name=name, hub_label=short_hash(hub_id)
            )  # fmt: skip
        except ApiError as error:
            silent[name] = error.message
        finally:
            await member.close()
    return [one for one in found if one.mark.hub == hub_id], silent


async def find(hub: Client, cluster: str | None = None) -> Orphans:
    """Look for objects without a binding. Raises Refused for a cluster that is not there."""
    names = sorted(one["metadata"]["name"] for one in (await hub.list(CLUSTERS)).items)
    if cluster is not None and cluster not in names:
        raise Refused(f"there is no cluster {cluster!r}; fedctl get clusters lists them")
    hub_id = await hub_identity(hub)
    objects, silent = await all_marked(hub, hub_id, [cluster] if cluster is not None else names)
    bound = await bindings(hub)
    unbound = [one for one in objects if one.binding not in bound]
    record, _ = await record_of(hub)
    newest = Moment(record.incarnation, max((await lease_versions(hub)).values(), default=0))
    crds = (await hub.list(CRDS, metadata_only=True)).items
    ending = frozenset(one["metadata"]["name"] for one in crds if "deletionTimestamp" in one["metadata"])
    view = HubView(hub, await hub.discover(), ending)
    found: list[tuple[Marked, Verdict]] = []
    for one in unbound:
        evidence = await template_evidence(view, one.reference, born=one.created)
        ahead = one.mark.at is not None and one.mark.at > newest
        found.append((one, fate(one, hub_id=hub_id, record=record, evidence=evidence, ahead=ahead)))
    return Orphans(found, silent)


async def bindings(hub: Client) -> set[tuple[str, str]]:
    """(namespace, name) of every binding."""
    found: set[tuple[str, str]] = set()
    for resource in (RESOURCE_BINDINGS, CLUSTER_RESOURCE_BINDINGS):
        items = (await hub.list(resource)).items
        found |= {(one["metadata"].get("namespace") or "", one["metadata"]["name"]) for one in items}
    return found


async def orphans(hub: Client, *, cluster: str | None, delete: bool, yes: bool, output: str) -> None:
    """List them, and delete them where that was asked and confirmed. Raises Refused."""
    result = await find(hub, cluster)
    rows = [as_row(one, verdict) for one, verdict in result.found]
    if not show(rows, output):
        print_orphans(result)
    for name, why in result.silent.items():
        click.echo(f"{name} could not be asked: {why}", err=True)
    if delete and rows:
        await _delete(hub, result, yes=yes)


def print_orphans(result: Orphans) -> None:
    """The table, or that there is nothing."""
    if not result.found:
        click.echo("no object of this hub is without a binding")
        return
    rows = [(one.member, one.kind, one.namespace, one.name, verdict.reason) for one, verdict in result.found]
    table(("CLUSTER", "KIND", "NAMESPACE", "NAME", "REASON"), rows)
    for reason, message in sorted({(verdict.reason, verdict.message) for _, verdict in result.found}):
        click.echo(f"{reason}: {message}")


def as_row(one: Marked, verdict: Verdict) -> Manifest:
    """One object for programs."""
    return {
        "cluster": one.member, "apiVersion": one.api_version, "kind": one.kind, "namespace": one.namespace, "name": one.name,
        "uid": one.uid, "epoch": one.mark.epoch, "at": str(one.mark.at) if one.mark.at is not None else "",
        "reason": verdict.reason, "message": verdict.message,
    }  # fmt: skip


async def _delete(hub: Client, result: Orphans, *, yes: bool) -> None:
    record, _ = await record_of(hub)
    if record.behind is not None:
        raise Refused(
            "the hub is behind its members, so nothing is deleted; first: fedctl hub status, fedctl hub resume"
        )
    going = [one for one, verdict in result.found if verdict.fate in (Fate.DELETE, Fate.KEEP)]
    if not yes:
        click.confirm(f"Delete these {len(going)} objects in the members?", abort=True, err=True)
    failed = 0
    for name in sorted({one.member for one in going}):
        member = await member_client(hub, name)
        try:
            failed += await _delete_in(member, [one for one in going if one.member == name])
        finally:
            await member.close()
    click.echo(f"{len(going) - failed} deleted", err=True)
    if failed:
        raise Refused(f"{failed} were not deleted; run it again")


async def _delete_in(member: Client, objects: list[Marked]) -> int:
    """Delete objects in one member; how many were not."""
    try:
        discovery = await member.discover()
    except ApiError as error:
        click.echo(f"{member.name}: nothing was deleted: {error.message}", err=True)
        return len(objects)
    failed = 0
    for one in objects:
        resource = discovery.find(one.api_version, one.kind)
        try:
            if resource is not None:
                await member.delete(
                    resource, one.name, one.namespace or None, uid=one.uid, resource_version=one.resource_version
                )
        except NotFound:
            continue
        except ApiError as error:
            failed += 1
            click.echo(f"{one} was not deleted: {error.message}", err=True)
    return failed
