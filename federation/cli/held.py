"""`fedctl get held`: the destructive changes that the brake holds, by plan (I15)."""

from collections.abc import Iterable
from typing import Any

from federation.api.words import listed
from federation.cli.output import show, table
from federation.hub.held import DELETE, HeldChange, held_in
from federation.kube.client import Client
from federation.kube.resource import CLUSTER_RESOURCE_BINDINGS, RESOURCE_BINDINGS


async def held_changes(hub: Client) -> list[HeldChange]:
    """Every held change, as the bindings say."""
    bindings = [
        *(await hub.list(RESOURCE_BINDINGS)).items,
        *(await hub.list(CLUSTER_RESOURCE_BINDINGS)).items,
    ]
    return [change for binding in bindings for change in held_in(binding)]


def by_plan(changes: Iterable[HeldChange]) -> dict[str, list[HeldChange]]:
    """The changes of each plan, oldest plan first."""
    plans: dict[str, list[HeldChange]] = {}
    for change in sorted(changes, key=lambda one: (one.since, one.object, one.cluster)):
        plans.setdefault(change.plan, []).append(change)
    return plans


async def get_held(hub: Client, output: str) -> None:
    """Print the plans."""
    plans = by_plan(await held_changes(hub))
    rows = [_row(plan, changes) for plan, changes in plans.items()]
    if show(rows, output):
        return
    table(
        ("ID", "SINCE", "DELETES", "SHRINKS", "CLUSTERS", "CAUSE", "OBJECTS"),
        [(row["id"], row["since"], row["deletes"], row["shrinks"], ", ".join(row["clusters"]), row["cause"],
          listed(row["objects"])) for row in rows],
    )  # fmt: skip


def _row(plan: str, changes: list[HeldChange]) -> dict[str, Any]:
    deletes = sum(change.what == DELETE for change in changes)
    return {
        "id": plan, "since": changes[0].since, "deletes": deletes, "shrinks": len(changes) - deletes,
        "clusters": sorted({change.cluster for change in changes}), "cause": changes[0].cause,
        "objects": sorted({change.object for change in changes}),
    }  # fmt: skip
