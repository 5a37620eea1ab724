"""`fedctl render KIND/NAME --cluster C [--diff]`: the object as a member gets it, and what differs there."""

from dataclasses import dataclass

from federation.api.meta import Manifest
from federation.cli.output import console, show
from federation.cli.picture import Picture, take
from federation.cli.session import Refused, member_client
from federation.hub.execute.decide import Identity, marked
from federation.hub.execute.diff import Difference, diff
from federation.hub.execute.render import Rendering, render
from federation.hub.views import cluster_facts, decision_of, override_facts
from federation.interpret import retain
from federation.kube.client import Client
from federation.kube.errors import NotFound
from federation.kube.resource import CLUSTER_OVERRIDE_POLICIES, NAMESPACES, OVERRIDE_POLICIES
from federation.policy.override import OverrideError
from federation.schedule.moves import is_divided


@dataclass(frozen=True, slots=True)
class Rendered:
    """A rendering, and its differences from the member's object (None: not asked; `missing`: there is none)."""

    rendering: Rendering
    differences: list[Difference] | None = None
    missing: bool = False


async def render_for(hub: Client, text: str, namespace: str, *, cluster: str, with_diff: bool, output: str) -> bool:
    """Print the rendering, or the differences. True if the member differs."""
    picture = await take(hub, text, namespace)
    found = await _rendered(hub, picture, cluster, with_diff=with_diff)
    if not with_diff:
        if not show(found.rendering.manifest, "yaml" if output == "table" else output):
            raise AssertionError("unreachable: yaml and json are always shown")
        return False
    out = console()
    if found.missing:
        out.print(f"{cluster} does not hold it yet", markup=False)
        return True
    differences = found.differences or []
    if not show(
        [{"path": one.path, "want": _plain(one.want), "have": _plain(one.have)} for one in differences], output
    ):
        for one in differences:
            out.print(str(one), markup=False)
        if not differences:
            out.print(f"{cluster} holds what was rendered", markup=False)
    return bool(differences)


async def _rendered(hub: Client, picture: Picture, cluster: str, *, with_diff: bool) -> Rendered:
    entry = next((one for one in picture.clusters if one["metadata"]["name"] == cluster), None)
    if entry is None:
        known = ", ".join(str(one["metadata"]["name"]) for one in picture.clusters) or "none"
        raise Refused(f"there is no cluster {cluster!r} (known: {known})")
    binding = picture.binding
    decision = decision_of(binding) if binding else None
    if binding is None or decision is None or cluster not in decision.targets:
        raise Refused(
            f"{cluster} is no target of it; see: fedctl explain {picture.resource.plural}/{picture.template['metadata']['name']}"
        )
    namespace = picture.template["metadata"].get("namespace")
    policies = [{"kind": "ClusterOverridePolicy", **one} for one in (await hub.list(CLUSTER_OVERRIDE_POLICIES)).items]
    if namespace:
        policies += [{"kind": "OverridePolicy", **one} for one in (await hub.list(OVERRIDE_POLICIES, namespace)).items]
    try:
        rendering = render(
            picture.template, cluster=cluster_facts(entry), shares=decision.targets if is_divided(decision) else {},
            overrides=[override_facts(one) for one in policies],
        )  # fmt: skip
    except OverrideError as error:
        raise Refused(str(error)) from error
    if not with_diff:
        return Rendered(rendering)
    identity = Identity(
        hub_id=str((await hub.get(NAMESPACES, "kube-system"))["metadata"]["uid"]),
        namespace=binding["metadata"].get("namespace") or "", name=binding["metadata"]["name"],
    )  # fmt: skip
    desired = marked(rendering, identity, template_uid=picture.template["metadata"]["uid"], epoch=decision.epoch)
    return await _compared(hub, picture, cluster, rendering, desired)


async def _compared(hub: Client, picture: Picture, cluster: str, rendering: Rendering, desired: Manifest) -> Rendered:
    member = await member_client(hub, cluster)
    try:
        metadata = picture.template["metadata"]
        observed = await member.get(picture.resource, metadata["name"], metadata.get("namespace"))
    except NotFound:
        return Rendered(rendering, missing=True)
    finally:
        await member.close()
    return Rendered(rendering, diff(retain(desired, observed), observed))


def _plain(value: object) -> object:
    return value if isinstance(value, dict | list | str | int | float | bool | None) else None
