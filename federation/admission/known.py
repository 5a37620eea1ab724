"""The snapshot that a review gets, taken from the hub's caches when it is asked. Clusters are read once per version."""

from federation.admission.review import KnownCluster, Request, Snapshot
from federation.api.meta import SYSTEM_NAMESPACE, Manifest
from federation.hub.caches import BY_NAMESPACE, HubCaches
from federation.hub.views import cluster_facts
from federation.kube.discovery import Discovery
from federation.kube.store import Cached
from federation.operator.join import known_ids


class Known:
    """What the process knows of the hub, for reviews. Its caches must be synced."""

    def __init__(self, caches: HubCaches) -> None:
        self._caches = caches
        self._read: dict[str, tuple[str, KnownCluster]] = {}
        """Name -> (resourceVersion, what was read)."""
        self._discovery: Discovery | None = None
        self._namespaced: dict[tuple[str, str], bool] = {}

    def snapshot(self, request: Request) -> Snapshot:
        """What reviews of this request may look at."""
        caches = self._caches
        own = caches.policies.by_index(BY_NAMESPACE, request.namespace) if request.namespace else []
        hub = caches.namespaces.get("", "kube-system")
        return Snapshot(
            hub_id=hub.uid if hub is not None else "",
            clusters=self._clusters(),
            policies=tuple(
                caches.judged(entry) for entry in (*own, *caches.cluster_policies.values()) if not entry.deleting
            ),
            secrets=frozenset(entry.name for entry in caches.secrets.values() if entry.namespace == SYSTEM_NAMESPACE),
            namespaced=self._scopes(),
            unlisted=caches.discovery.unknown,
        )

    def _clusters(self) -> tuple[KnownCluster, ...]:
        before, self._read = self._read, {}
        for entry in self._caches.clusters.values():
            found = before.get(entry.name)
            if found is None or found[0] != entry.resource_version:
                found = entry.resource_version, _read(entry)
            self._read[entry.name] = found
        return tuple(cluster for _, cluster in self._read.values())

    def _scopes(self) -> dict[tuple[str, str], bool]:
        if self._discovery is not self._caches.discovery:
            self._discovery = self._caches.discovery
            self._namespaced = {(one.api_version, one.kind): one.namespaced for one in self._discovery.resources}
        return self._namespaced


def _read(entry: Cached) -> KnownCluster:
    manifest = entry.manifest()
    spec: Manifest = manifest.get("spec") or {}
    return KnownCluster(
        facts=cluster_facts(manifest), ids=frozenset(known_ids(manifest)), endpoint=spec.get("apiEndpoint") or "",
        proxy=spec.get("proxyURL") or "", secret=(spec.get("secretRef") or {}).get("name") or "",
    )  # fmt: skip
