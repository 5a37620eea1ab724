"""Discovery documents: aggregated (v2) and in the old form, one request a group version."""

from federation.api.meta import Manifest
from federation.sandbox.kinds import Kind, Kinds
from federation.sandbox.refusals import no_such_path
from federation.sandbox.routing import Place

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
_STATUS_VERBS = ["get", "patch", "update"]
_CREATE_ONLY = (
    ("authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview"),
    ("authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview"),
)


def catalogue(place: Place, kinds: Kinds, *, aggregated: bool) -> Manifest:
    """The document of a discovery path. Raises 404 where there is none."""
    parts = place.parts
    if parts in (("api",), ("apis",)) and aggregated:
        return _aggregated(kinds, core=parts == ("api",))
    if parts == ("api",):
        return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
    if parts == ("apis",):
        groups = [_group(group, versions) for group, versions in _versions(kinds).items() if group]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    if len(parts) == 2 and parts[0] == "apis" and parts[1] in _versions(kinds):
        return {**_group(parts[1], _versions(kinds)[parts[1]]), "kind": "APIGroup", "apiVersion": "v1"}
    group, version = ("", parts[-1]) if parts[:1] == ("api",) else (parts[-2] if len(parts) == 3 else "?", parts[-1])
    if version in _versions(kinds).get(group, ()):
        return _resources(kinds, group, version)
    raise no_such_path()


def _versions(kinds: Kinds) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for group, version in [*((kind.group, kind.version) for kind in kinds), *(entry[:2] for entry in _CREATE_ONLY)]:
        if version not in found.setdefault(group, []):
            found[group].append(version)
    return found


def _group(name: str, versions: list[str]) -> Manifest:
    entries = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": entries, "preferredVersion": entries[0]}


def _resources(kinds: Kinds, group: str, version: str) -> Manifest:
    resources: list[Manifest] = []
    for kind in _of(kinds, group, version):
        entry = {"name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced, "kind": kind.kind}
        resources.append({**entry, "verbs": _VERBS, "shortNames": list(kind.short_names)})
        if kind.status:
            status = {**entry, "name": f"{kind.plural}/status", "singularName": "", "verbs": _STATUS_VERBS}
            resources.append(status)
    for plural, name in _create_only(group, version):
        resources.append({"name": plural, "singularName": "", "namespaced": False, "kind": name, "verbs": ["create"]})
    api_version = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version, "resources": resources}


def _of(kinds: Kinds, group: str, version: str) -> list[Kind]:
    return [kind for kind in kinds if (kind.group, kind.version) == (group, version)]


def _create_only(group: str, version: str) -> list[tuple[str, str]]:
    return [entry[2:] for entry in _CREATE_ONLY if entry[:2] == (group, version)]


def _aggregated(kinds: Kinds, *, core: bool) -> Manifest:
    items = []
    for group, versions in _versions(kinds).items():
        if bool(group) == core:
            continue
        entries = [
            {"version": version, "freshness": "Current", "resources": _aggregated_resources(kinds, group, version)}
            for version in versions
        ]
        items.append({"metadata": {"name": group, "creationTimestamp": None} if group else {}, "versions": entries})
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}


def _aggregated_resources(kinds: Kinds, group: str, version: str) -> list[Manifest]:
    found: list[Manifest] = []
    for kind in _of(kinds, group, version):
        response = {"group": kind.group, "version": kind.version, "kind": kind.kind}
        entry: Manifest = {
            "resource": kind.plural,
            "responseKind": response,
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "singularResource": kind.singular,
            "verbs": _VERBS,
            "shortNames": list(kind.short_names),
        }
        if kind.status:
            entry["subresources"] = [{"subresource": "status", "responseKind": response, "verbs": _STATUS_VERBS}]
        found.append(entry)
    for plural, name in _create_only(group, version):
        response = {"group": group, "version": version, "kind": name}
        entry = {"resource": plural, "responseKind": response, "scope": "Cluster", "singularResource": ""}
        found.append({**entry, "verbs": ["create"]})
    return found
