"""`fedctl rebalance KIND/NAME ...`: schedule workloads as if nothing were placed; waits for the answer and prints it."""

import asyncio
import time
from collections.abc import Sequence

import click

from federation.api.meta import API_VERSION, Manifest
from federation.cli.output import show
from federation.cli.picture import take
from federation.cli.session import Refused
from federation.kube.client import Client
from federation.kube.resource import REBALANCES

_LOOK = 0.3
"""Seconds between two looks at the answer."""


async def rebalance(
    hub: Client, texts: Sequence[str], namespace: str, *, lives: int, patience: float, output: str
) -> bool:
    """Ask, wait up to `patience` seconds, print the results; whether every workload was answered well. Raises Refused.

    `lives`: seconds that the Rebalance stays after it finished.
    """
    workloads = [await _workload(hub, text, namespace) for text in texts]
    created = await hub.create(REBALANCES, {
        "apiVersion": API_VERSION, "kind": "Rebalance", "metadata": {"generateName": "fedctl-"},
        "spec": {"workloads": workloads, "ttlSecondsAfterFinished": lives},
    })  # fmt: skip
    name, deadline = created["metadata"]["name"], time.monotonic() + patience
    while not (created.get("status") or {}).get("finishTime") and time.monotonic() < deadline:
        await asyncio.sleep(_LOOK)
        created = await hub.get(REBALANCES, name)
    status = created.get("status") or {}
    observed: list[Manifest] = status.get("observedWorkloads") or []
    if not show({"rebalance": name, **status}, output):
        for one in observed:
            click.echo(_line(one))
        if not status.get("finishTime"):
            click.echo(
                f"not finished after {patience:.0f} s; kubectl get rebalance {name} -o yaml shows how it goes on"
            )
    return bool(status.get("finishTime")) and all(one.get("result") == "Successful" for one in observed)


async def _workload(hub: Client, text: str, namespace: str) -> Manifest:
    picture = await take(hub, text, namespace)
    if picture.binding is None:
        raise Refused(f"{text} has no binding: no policy claims it; fedctl explain {text} says why")
    reference = picture.binding["spec"]["resource"]
    return {key: reference[key] for key in ("apiVersion", "kind", "namespace", "name") if reference.get(key)}


def _line(observed: Manifest) -> str:
    workload = observed["workload"]
    place = f"{workload['namespace']}/" if workload.get("namespace") else ""
    said = ": ".join(part for part in (observed.get("reason"), observed.get("message")) if part)
    return f"{workload['kind']} {place}{workload['name']}: {observed.get('result') or 'waits'}" + (
        f": {said}" if said else ""
    )
