"""Which kinds an API server serves, from aggregated discovery (two requests), or the old form where that is missing."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from federation.kube.resource import Resource

AGGREGATED = (
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"
)


@dataclass(frozen=True, slots=True)
class Discovery:
    """`resources` in the server's order of preference; `unknown`: group versions that could not be listed (I14)."""

    resources: tuple[Resource, ...]
    unknown: frozenset[str]

    def find(self, api_version: str, kind: str) -> Resource | None:
        """The resource of a kind in exactly that version."""
        for resource in self.resources:
            if resource.kind == kind and resource.api_version == api_version:
                return resource
        return None

    def find_kind(self, group: str, kind: str) -> Resource | None:
        """The resource of a kind in the preferred version."""
        for resource in self.resources:
            if resource.kind == kind and resource.group == group:
                return resource
        return None

    def lines(self) -> list[str]:
        """One line a group version: `apps/v1: DaemonSet, Deployment`; sorted."""
        kinds: dict[str, set[str]] = defaultdict(set)
        for resource in self.resources:
            kinds[resource.api_version].add(resource.kind)
        return [f"{version}: {', '.join(sorted(names))}" for version, names in sorted(kinds.items())]


def from_aggregated(documents: list[dict[str, Any]]) -> Discovery:
    """Read the APIGroupDiscoveryList of /api and /apis."""
    resources: list[Resource] = []
    unknown: set[str] = set()
    for document in documents:
        for group in document.get("items") or []:
            name = (group.get("metadata") or {}).get("name") or ""
            for version in group.get("versions") or []:
                api_version = f"{name}/{version['version']}" if name else version["version"]
                if version.get("freshness") == "Stale":
                    unknown.add(api_version)
                    continue
                resources.extend(
                    _aggregated_resource(name, version["version"], entry) for entry in version.get("resources") or []
                )
    return Discovery(resources=tuple(entry for entry in resources if entry.kind), unknown=frozenset(unknown))


def _aggregated_resource(group: str, version: str, entry: dict[str, Any]) -> Resource:
    subresources = {sub["subresource"] for sub in entry.get("subresources") or []}
    return Resource(
        group=group,
        version=version,
        plural=entry["resource"],
        kind=(entry.get("responseKind") or {}).get("kind") or "",
        namespaced=entry.get("scope") == "Namespaced",
        status="status" in subresources,
        verbs=frozenset(entry.get("verbs") or []),
    )


def from_resource_list(group: str, version: str, document: dict[str, Any]) -> list[Resource]:
    """Read one APIResourceList (the old form of discovery)."""
    entries = document.get("resources") or []
    with_status = {entry["name"].removesuffix("/status") for entry in entries if entry["name"].endswith("/status")}
    return [
        Resource(
            group=group,
            version=version,
            plural=entry["name"],
            kind=entry["kind"],
            namespaced=bool(entry.get("namespaced")),
            status=entry["name"] in with_status,
            verbs=frozenset(entry.get("verbs") or []),
        )
        for entry in entries
        if "/" not in entry["name"]
    ]
