"""`plan`: a snapshot and a change in, the plan out. The change happens on sandboxes only."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

from federation.api.meta import SYSTEM_NAMESPACE, Manifest
from federation.hub.held import APPROVALS, HeldChange, held_in, with_approval
from federation.hub.settings import Settings
from federation.kube.errors import NotFound
from federation.kube.resource import CONFIG_MAPS
from federation.plan.changes import Change, compare
from federation.plan.manifests import Key
from federation.plan.outcome import Plan, workloads
from federation.plan.snapshot import Snapshot, emptied
from federation.plan.world import World, living
from federation.sandbox.registry import Deletion

FIRST, LAST, PERIOD = 0.02, 0.1, 0.1
"""Windows that spare an API server writes; a sandbox need not be spared."""
_ROUNDS = 20
"""Times that what is held is approved: a move that was let go may lead to the next held change."""


async def rehearse(
    snapshot: Snapshot,
    *,
    apply: Iterable[Manifest],
    delete: Sequence[Key] = (),
    namespace: str = "default",
    settings: Settings | None = None,
) -> Plan:
    """What applying (and deleting) does to this hub. `settings`: those of the brake count.

    Raises ManifestError for what the hub would refuse, and Unsettled where the controllers come to no rest.
    """
    chosen = replace(settings or Settings(), window_first=FIRST, window_last=LAST, policy_status_period=PERIOD)
    wanted, notes = _comparable(snapshot, apply)
    async with living(snapshot, chosen) as world:
        bindings, before = world.bindings(), world.objects()
        await world.apply(wanted, namespace=namespace)
        _remove(world, delete, namespace=namespace)
        await world.rest()
        at_once = _compared(before, world.objects())
        held = [one for binding in world.bindings() for one in held_in(binding)]
        new = _new(held, bindings)
        between, decided = world.objects(), world.bindings()
        if new:
            await _approve(world)
            decided = world.bindings()
        later = _compared(between, world.objects())
        notes += [f"not read, so not planned: {one}" for one in snapshot.unread]
    return Plan(
        workloads=workloads(bindings, decided),
        changes=at_once,
        held=tuple(new),
        after_approval=later,
        notes=tuple(notes),
    )


def _comparable(snapshot: Snapshot, manifests: Iterable[Manifest]) -> tuple[list[Manifest], list[str]]:
    """Where the snapshot does not hold what is in Secrets, what would be applied does not either: it cannot be compared."""
    found, notes = [], []
    for manifest in manifests:
        secret = (manifest["apiVersion"], manifest["kind"]) == ("v1", "Secret")
        found.append(emptied(manifest) if secret and snapshot.hidden else manifest)
        if secret and snapshot.hidden:
            name = manifest["metadata"]["name"]
            notes.append(f"Secret {name}: the snapshot does not hold its values, so whether they change is not known")
    return found, notes


def _new(held: list[HeldChange], bindings: Iterable[Manifest]) -> list[HeldChange]:
    """What is held already is no part of what the change does."""
    known = {one.change for binding in bindings for one in held_in(binding)}
    return [one for one in held if one.change not in known]


def _compared(before: dict[str, list[Manifest]], after: dict[str, list[Manifest]]) -> tuple[Change, ...]:
    return tuple(change for name in sorted(after) for change in compare(name, before.get(name, []), after[name]))


def _remove(world: World, keys: Sequence[Key], *, namespace: str) -> None:
    """Delete as `kubectl delete` does, in the background; what is not there needs no deletion."""
    for group, kind, place, name in keys:
        served = world.hub.kinds.named(f"{group}/v1" if group else "v1", kind)
        if served is None:
            continue
        where = (place or namespace) if served.namespaced else ""
        if any(one["metadata"]["name"] == name for one in world.hub.objects(served.api_version, kind, where)):
            world.hub.registry.delete(served, where, name, Deletion(propagation="Background"))


async def _approve(world: World) -> None:
    """Approve all that is held, until nothing is any more."""
    client = world.hub.client(field_manager="user")
    for _ in range(_ROUNDS):
        held = [one for binding in world.bindings() for one in held_in(binding)]
        if not held:
            return
        try:
            found = await client.get(CONFIG_MAPS, APPROVALS, SYSTEM_NAMESPACE)
        except NotFound:
            metadata = {"name": APPROVALS, "namespace": SYSTEM_NAMESPACE}
            found = await client.create(
                CONFIG_MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {}}
            )
        data = with_approval(found.get("data") or {}, "plan", (one.change for one in held), time.time())
        await client.replace(CONFIG_MAPS, {**found, "apiVersion": "v1", "kind": "ConfigMap", "data": data})
        await world.rest()
