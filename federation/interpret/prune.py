"""What must not travel from the hub to a member (karmada.md 3.5.3): what the hub's API server or GitOps tools added.

A field that a controller of the member owns is simply left out: server-side apply then leaves it alone there.
"""

from typing import Any

from federation.api.meta import GROUP, Manifest
from federation.interpret.group_kind import (
    DEPLOYMENT,
    JOB,
    NAMESPACE,
    PV,
    REPLICA_SET,
    SERVICE,
    SERVICE_ACCOUNT,
    GroupKind,
    group_kind,
)

_ANNOTATIONS = frozenset({
    "kubectl.kubernetes.io/last-applied-configuration",
    "meta.helm.sh/release-name",
    "meta.helm.sh/release-namespace",
    "config.k8s.io/owning-inventory",
    "volume.kubernetes.io/selected-node",
    "pv.kubernetes.io/bind-completed",
    "pv.kubernetes.io/bound-by-controller",
    "batch.kubernetes.io/job-tracking",
})  # fmt: skip
_TRACKING = (
    "argocd.argoproj.io/",
    "kustomize.toolkit.fluxcd.io/",
    "helm.toolkit.fluxcd.io/",
    f"{GROUP}/",
)
_JOB_LABELS = frozenset({
    "controller-uid", "job-name", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name",
})  # fmt: skip
_CORE_METADATA = ("name", "namespace", "labels", "annotations")


def prune(manifest: Manifest) -> Manifest:
    """A copy of a template without status, server metadata, tracking metadata, and what its kind generates."""
    kind = group_kind(manifest)
    result = {key: value for key, value in manifest.items() if key != "status"}
    result["metadata"] = _metadata(manifest["metadata"], kind)
    rule = _RULES.get(kind)
    return rule(result, manifest) if rule is not None else result


def _metadata(metadata: Manifest, kind: GroupKind) -> Manifest:
    kept = {key: metadata[key] for key in _CORE_METADATA if metadata.get(key)}
    labels = {key: value for key, value in (metadata.get("labels") or {}).items() if not _tracking_label(key, value)}
    annotations = {key: value for key, value in (metadata.get("annotations") or {}).items() if not _tracked(key)}
    if kind in (DEPLOYMENT, REPLICA_SET):
        annotations = {
            key: value for key, value in annotations.items() if not key.startswith("deployment.kubernetes.io/")
        }
    for key, value in (("labels", labels), ("annotations", annotations)):
        if value:
            kept[key] = value
        else:
            kept.pop(key, None)
    return kept


def _tracked(key: str) -> bool:
    return key in _ANNOTATIONS or key.startswith(_TRACKING)


def _tracking_label(key: str, value: str) -> bool:
    """`managed-by: Helm` makes Helm claim an object; with any other value the label is the user's."""
    return key.startswith(_TRACKING) or (key, value) == ("app.kubernetes.io/managed-by", "Helm")


def _service(result: Manifest, template: Manifest) -> Manifest:
    """Addresses belong to a cluster; ports that the hub allocated too, unless the user wrote them."""
    spec = dict(result.get("spec") or {})
    if spec.get("clusterIP") != "None":
        spec.pop("clusterIP", None)
        spec.pop("clusterIPs", None)
    for key in ("healthCheckNodePort", "ipFamilies", "ipFamilyPolicy"):
        if key in spec and not _user_owns(template, ("f:spec", f"f:{key}")):
            del spec[key]
    if spec.get("ports"):
        spec["ports"] = [_port(port, template) for port in spec["ports"]]
    return {**result, "spec": spec}


def _port(port: Manifest, template: Manifest) -> Manifest:
    if "nodePort" not in port:
        return port
    key = f'k:{{"port":{port["port"]},"protocol":"{port.get("protocol", "TCP")}"}}'
    if _user_owns(template, ("f:spec", "f:ports", key, "f:nodePort")):
        return port
    return {name: value for name, value in port.items() if name != "nodePort"}


def _user_owns(template: Manifest, path: tuple[str, ...]) -> bool:
    """Whether any field manager set the field; what the API server allocates is in nobody's managedFields."""
    for entry in template["metadata"].get("managedFields") or ():
        tree: Any = entry.get("fieldsV1") or {}
        for step in path:
            tree = tree.get(step) if isinstance(tree, dict) else None
        if tree is not None:
            return True
    return False


def _job(result: Manifest, _template: Manifest) -> Manifest:
    """The selector and its labels are generated in each cluster; the hub alone ends finished Jobs by time."""
    spec = dict(result.get("spec") or {})
    spec.pop("ttlSecondsAfterFinished", None)
    if not spec.get("manualSelector"):
        spec.pop("selector", None)
        template = dict(spec.get("template") or {})
        metadata = dict(template.get("metadata") or {})
        labels = {key: value for key, value in (metadata.get("labels") or {}).items() if key not in _JOB_LABELS}
        if labels:
            metadata["labels"] = labels
        else:
            metadata.pop("labels", None)
        template["metadata"] = metadata
        spec["template"] = template
    result["metadata"] = _without_labels(result["metadata"], _JOB_LABELS)
    return {**result, "spec": spec}


def _service_account(result: Manifest, _template: Manifest) -> Manifest:
    prefix = f"{result['metadata']['name']}-token-"
    secrets = [one for one in result.get("secrets") or () if not str(one.get("name", "")).startswith(prefix)]
    rest = {key: value for key, value in result.items() if key != "secrets"}
    return {**rest, "secrets": secrets} if secrets else rest


def _volume(result: Manifest, _template: Manifest) -> Manifest:
    """The claim of a volume is bound anew in each cluster: its UID there is another one."""
    spec = dict(result.get("spec") or {})
    if spec.get("claimRef"):
        claim = spec["claimRef"]
        spec["claimRef"] = {key: claim[key] for key in ("apiVersion", "kind", "namespace", "name") if key in claim}
    return {**result, "spec": spec}


def _namespace(result: Manifest, _template: Manifest) -> Manifest:
    metadata = _without_labels(result["metadata"], frozenset({"kubernetes.io/metadata.name"}))
    rest = {key: value for key, value in result.items() if key != "spec"}
    return {**rest, "metadata": metadata}


def _without_labels(metadata: Manifest, names: frozenset[str]) -> Manifest:
    labels = {key: value for key, value in (metadata.get("labels") or {}).items() if key not in names}
    rest = {key: value for key, value in metadata.items() if key != "labels"}
    return {**rest, "labels": labels} if labels else rest


_RULES = {
    SERVICE: _service,
    JOB: _job,
    SERVICE_ACCOUNT: _service_account,
    PV: _volume,
    NAMESPACE: _namespace,
}
