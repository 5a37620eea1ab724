"""`fedctl pin KIND/NAME CLUSTER=N ... [--for 2h]`: shares set by hand, for a time; `--clear` takes them back.

The pin is the operator's own field of the binding (`spec.pin`); the scheduler records it as the trigger `Pinned`.
"""

import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import click

from federation.api.meta import Manifest
from federation.api.words import shares_text
from federation.cli.picture import Picture, take
from federation.cli.session import Refused
from federation.hub.views import decision_of
from federation.interpret import divisible, replicas_of
from federation.kube.client import Client
from federation.kube.resource import CLUSTER_RESOURCE_BINDINGS, RESOURCE_BINDINGS
from federation.schedule.moves import divides

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_PART = re.compile(r"(\d+)([smhd])")


def seconds_of(text: str) -> int:
    """`2h`, `1h30m`, `90s` in seconds. Raises click.UsageError for anything else."""
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise click.UsageError(f"--for {text!r}: write a duration as 30m, 2h or 1h30m")
    return sum(int(number) * _UNITS[unit] for number, unit in parts)


def shares_of(pairs: Sequence[str]) -> dict[str, int]:
    """`m1=3` as cluster and replicas. Raises click.UsageError."""
    shares: dict[str, int] = {}
    for pair in pairs:
        name, equals, count = pair.partition("=")
        if not equals or not name or not count.isdigit():
            raise click.UsageError(f"{pair!r}: write CLUSTER=REPLICAS, as m1=3")
        shares[name] = int(count)
    return shares


async def pin(hub: Client, text: str, namespace: str, *, shares: dict[str, int], lasts: int | None) -> None:
    """Set shares, or clear them where `shares` is empty. Raises Refused."""
    picture = await take(hub, text, namespace)
    binding = picture.binding
    if binding is None:
        raise Refused(f"{text} has no binding: no policy claims it; fedctl explain {text} says why")
    if shares:
        _check(picture, binding, shares)
    until = datetime.fromtimestamp(time.time() + lasts, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if lasts else None
    value = {"shares": shares, **({"until": until} if until else {})} if shares else None
    metadata = binding["metadata"]
    operations = [{"op": "test", "path": "/metadata/uid", "value": metadata["uid"]}]
    if value is None and "pin" not in binding["spec"]:
        click.echo(f"{text} is not pinned")
        return
    operations.append(
        {"op": "add", "path": "/spec/pin", "value": value} if value else {"op": "remove", "path": "/spec/pin"}
    )
    resource = RESOURCE_BINDINGS if metadata.get("namespace") else CLUSTER_RESOURCE_BINDINGS
    await hub.json_patch(resource, metadata["name"], metadata.get("namespace"), operations)
    if value is None:
        click.echo(f"{text} is no longer pinned")
        return
    click.echo(
        f"{text} is pinned to {shares_text(shares)}" + (f" until {until}" if until else "; fedctl pin --clear ends it")
    )


def _check(picture: Picture, binding: Manifest, shares: dict[str, int]) -> None:
    known = {str(one["metadata"]["name"]) for one in picture.clusters}
    unknown = sorted(shares.keys() - known)
    if unknown:
        raise Refused(f"there is no cluster {', '.join(unknown)}; fedctl get clusters lists them")
    decision = decision_of(binding)
    if not divisible(picture.template) or (decision is not None and decision.targets and not divides(decision)):
        raise Refused("only a workload whose replicas are divided has shares (replicaSchedulingType: Divided)")
    wanted = replicas_of(picture.template) or 0
    if sum(shares.values()) > wanted:
        raise Refused(f"the shares add up to {sum(shares.values())}, but {wanted} replicas are wanted; scale it first")
