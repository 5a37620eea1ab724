"""Workloads that are placed with or apart from each other: who else of a group is placed where.

A decision counts from the moment in which it is taken, not when its write is answered: two workloads of a group that are
decided at the same time must not miss each other.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from federation.api.binding import Decision
from federation.api.meta import Manifest
from federation.api.naming import BindingKey
from federation.hub.caches import HubCaches
from federation.hub.views import decision_of, with_peers, workload_groups
from federation.kube.store import Cached, Change
from federation.schedule.snapshot import BindingView


class Peers:
    """The placed workloads of each group, those on their way to the hub included."""

    def __init__(self, caches: HubCaches) -> None:
        self._caches = caches
        self._writing: dict[BindingKey, Mapping[str, int]] = {}

    def view(self, view: BindingView, binding: Manifest) -> BindingView:
        """The view of a binding with its peers."""
        if not workload_groups(binding):
            return view
        peers = self._caches.peers_of(binding)
        return with_peers(view, binding, [(peer.manifest(), self._targets(peer)) for peer in peers])

    @contextmanager
    def writing(self, key: BindingKey, decision: Decision | None) -> Iterator[None]:
        """Let a decision count while it is being written."""
        if decision is not None:
            self._writing[key] = decision.targets
        try:
            yield
        finally:
            self._writing.pop(key, None)

    def woken(self, change: Change) -> list[BindingKey]:
        """The bindings whose verdicts may differ after a change of another one."""
        entry = change.new or change.old
        if entry is None or not workload_groups(entry.manifest()):
            return []
        if _decided(change.old) == _decided(change.new):
            return []
        return [(peer.namespace, peer.name) for peer in self._caches.peers_of(entry.manifest())]

    def _targets(self, peer: Cached) -> Mapping[str, int]:
        return self._writing.get((peer.namespace, peer.name), _decided(peer))


def _decided(entry: Cached | None) -> Mapping[str, int]:
    decision = decision_of(entry.manifest()) if entry is not None else None
    return decision.targets if decision is not None else {}
