"""A snapshot on a sandbox: the hub's objects under their own UIDs, and in each member what was read there.

Of a member that was not read, the copies are there that the hub says are, as the hub would write them now; what else is there is
not known. What drifts, or is on its way, is mended before the change is applied, and so is no part of the plan.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from federation.api.lines import parse_line, parse_mark, print_mark
from federation.api.meta import API_VERSION, FIELD_MANAGER, HUB_LABEL, MARK_ANNOTATION, SYSTEM_NAMESPACE, Manifest
from federation.api.naming import short_hash
from federation.hub.execute.decide import Identity, marked
from federation.hub.execute.render import Rendering, render
from federation.hub.record import RECORD
from federation.hub.views import cluster_facts, decision_of, lines_of, override_facts
from federation.kube.resource import Resource
from federation.plan.snapshot import Snapshot
from federation.policy.override import OverrideError, OverrideFacts
from federation.sandbox import ApiServer, Member
from federation.sandbox.kinds import Kind
from federation.sandbox.registry import Options
from federation.sandbox.storage import Address
from federation.schedule.moves import is_divided

ANYTHING = "c2FuZGJveA=="
"""The token of the Secrets that lead to the sandbox members, which ask for none."""
FOREIGN = "AlreadyExists"
"""The reason in the line of a member that holds an object of that name which is not ours."""


def endpoint(cluster: str) -> str:
    """Where the sandbox member of a cluster is reached."""
    return f"http://{cluster}.member"


def load_hub(server: ApiServer, snapshot: Snapshot) -> None:
    """Put the objects of the hub into a server that serves our kinds; owners come first, as the collector looks at once."""
    _define(server, snapshot.served, snapshot.objects)
    _put(server, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM_NAMESPACE, "uid": "system"}})
    _put(server, _config_map(RECORD, {"id": snapshot.hub_id}))
    for manifest in sorted(
        snapshot.objects, key=lambda one: (bool(one["metadata"].get("ownerReferences")), one["kind"] != "Namespace")
    ):
        _put(server, _led_here(server, manifest) if _is_cluster(manifest) else manifest)


def load_member(member: Member, hub: ApiServer, cluster: Manifest, snapshot: Snapshot) -> None:
    """Put into a member what it serves and holds, as it was read or as the hub says."""
    served = set(_served(cluster))
    _define(member.server, (one for one in snapshot.served if (one.api_version, one.kind) in served), snapshot.objects)
    member.add_node("node")
    held = snapshot.members.get(cluster["metadata"]["name"])
    if held is not None:
        for manifest in held:
            _put(member.server, _undated(manifest))
        return
    overrides = _overrides(hub)
    for binding in _bindings(hub):
        line = lines_of(binding).get(cluster["metadata"]["name"])
        template = _template(hub, binding)
        if line is None or template is None:
            continue
        fields = parse_line(line)
        foreign = fields.get("reason") == FOREIGN
        if foreign or "uid" in fields:
            _put_copy(member, cluster, binding, template, overrides, snapshot.hub_id, foreign=foreign)


def is_away(cluster: Manifest) -> bool:
    """Whether nothing can be written to a cluster: it is not ready, so its writes wait."""
    conditions = {one["type"]: one["status"] for one in (cluster.get("status") or {}).get("conditions") or []}
    return bool(conditions.get("Ready") != "True")


def rendered(
    template: Manifest, cluster: Manifest, shares: Mapping[str, int], overrides: Iterable[OverrideFacts]
) -> Rendering | None:
    """The template as a cluster gets it; None where an override fails, as nothing is written then."""
    try:
        return render(template, cluster=cluster_facts(cluster), shares=shares, overrides=list(overrides))
    except OverrideError:
        return None


def _put_copy(
    member: Member, cluster: Manifest, binding: Manifest, template: Manifest, overrides: list[OverrideFacts],
    hub_id: str, *, foreign: bool,
) -> None:  # fmt: skip
    decision, metadata = decision_of(binding), template["metadata"]
    name = cluster["metadata"]["name"]
    if decision is None:
        return
    shares = dict(decision.targets) if is_divided(decision) else {}
    if shares and name not in shares:
        shares[name] = int(parse_line(lines_of(binding)[name]).get("wanted") or 1)
    rendering = rendered(template, cluster, shares, overrides)
    if rendering is None:
        return
    identity = Identity(
        hub_id=hub_id, namespace=binding["metadata"].get("namespace") or "", name=binding["metadata"]["name"]
    )
    copy = marked(rendering, identity, template_uid=metadata["uid"], epoch=decision.epoch)
    kind = _kind(member.server, template["apiVersion"], template["kind"])
    if kind is None:
        return
    place = metadata.get("namespace") or ""
    if place:
        _make_namespace(member.server, place, hub_id)
    options = Options(manager="somebody" if foreign else FIELD_MANAGER, force=True)
    member.server.registry.apply(kind, place, metadata["name"], rendering.manifest if foreign else copy, options)


def _undated(manifest: Manifest) -> Manifest:
    """The object with a mark that does not say when it was written: the sandbox hub counts its own revisions."""
    annotations = manifest["metadata"].get("annotations") or {}
    mark = parse_mark(annotations.get(MARK_ANNOTATION) or "")
    if mark is None:
        return manifest
    kept = {**annotations, MARK_ANNOTATION: print_mark(replace(mark, at=None))}
    return {**manifest, "metadata": {**manifest["metadata"], "annotations": kept}}


def _make_namespace(server: ApiServer, name: str, hub_id: str) -> None:
    if any(one["metadata"]["name"] == name for one in server.objects("v1", "Namespace")):
        return
    metadata = {
        "name": name, "labels": {HUB_LABEL: short_hash(hub_id)}, "annotations": {MARK_ANNOTATION: f"hub={hub_id} made=true"},
    }  # fmt: skip
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
    server.registry.create(server.kind("v1", "Namespace"), "", manifest, Options(manager=FIELD_MANAGER))


def _define(server: ApiServer, resources: Iterable[Resource], objects: Iterable[Manifest]) -> None:
    """Serve these kinds: by their own definition where there is one, else by one without a schema."""
    definitions = {one["metadata"]["name"]: one for one in objects if one["kind"] == "CustomResourceDefinition"}
    for resource in resources:
        if "/" in resource.plural or not {"list", "watch"} <= resource.verbs:
            continue
        if server.kinds.named(resource.api_version, resource.kind) is None:
            name = f"{resource.plural}.{resource.group}"
            _put(server, definitions.get(name) or _definition(name, resource))


def _definition(name: str, resource: Resource) -> Manifest:
    version: dict[str, Any] = {"name": resource.version, "served": True, "storage": True}
    version["subresources"] = {"status": {}} if resource.status else {}
    spec = {
        "group": resource.group, "scope": "Namespaced" if resource.namespaced else "Cluster",
        "names": {"plural": resource.plural, "kind": resource.kind}, "versions": [version],
    }  # fmt: skip
    metadata = {"name": name, "uid": f"definition-{name}"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": metadata,
        "spec": spec,
    }


def _is_cluster(manifest: Manifest) -> bool:
    return bool(manifest["kind"] == "Cluster" and manifest["apiVersion"] == API_VERSION)


def _led_here(server: ApiServer, cluster: Manifest) -> Manifest:
    """The Cluster, leading to its sandbox member; the Secret that this takes is put beside it."""
    name = cluster["metadata"]["name"]
    reference = {"namespace": SYSTEM_NAMESPACE, "name": f"cluster-{name}"}
    _put(server, {
        "apiVersion": "v1", "kind": "Secret", "data": {"token": ANYTHING},
        "metadata": {**reference, "uid": f"secret-{name}"},
    })  # fmt: skip
    kept = {key: value for key, value in (cluster.get("spec") or {}).items() if key not in ("caBundle", "proxyURL")}
    return {**cluster, "spec": {**kept, "apiEndpoint": endpoint(name), "secretRef": reference}}


def _config_map(name: str, data: dict[str, str]) -> Manifest:
    metadata = {"name": name, "namespace": SYSTEM_NAMESPACE, "uid": name}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def _put(server: ApiServer, manifest: Manifest) -> None:
    """Store an object as it is, UID and status too. What is finished, and kinds that are not served, are left out."""
    kind, metadata = _kind(server, manifest["apiVersion"], manifest["kind"]), manifest["metadata"]
    if kind is None or ("deletionTimestamp" in metadata and not metadata.get("finalizers")):
        return
    server.registry.rewrite(Address(kind.collection, metadata.get("namespace") or "", metadata["name"]), manifest)


def _kind(server: ApiServer, api_version: str, kind: str) -> Kind | None:
    return server.kinds.named(api_version, kind)


def _served(cluster: Manifest) -> Iterable[tuple[str, str]]:
    for line in (cluster.get("status") or {}).get("apis") or []:
        api_version, _, kinds = line.partition(": ")
        yield from ((api_version, kind) for kind in kinds.split(", "))


def _bindings(hub: ApiServer) -> list[Manifest]:
    return [*hub.objects(API_VERSION, "ResourceBinding"), *hub.objects(API_VERSION, "ClusterResourceBinding")]


def _overrides(hub: ApiServer) -> list[OverrideFacts]:
    found = [*hub.objects(API_VERSION, "ClusterOverridePolicy"), *hub.objects(API_VERSION, "OverridePolicy")]
    return [override_facts(one) for one in found]


def _template(hub: ApiServer, binding: Manifest) -> Manifest | None:
    reference = binding["spec"]["resource"]
    kind = _kind(hub, reference["apiVersion"], reference["kind"])
    if kind is None:
        return None
    found = hub.storage.get(Address(kind.collection, reference.get("namespace") or "", reference["name"]))
    return found if found is not None and found["metadata"]["uid"] == reference["uid"] else None
