"""Foretells what a change of a propagation policy would do, from the hub's caches, while its author waits for the answer.

In steps: the event loop goes on with other things between two bindings, and what is not looked at in time is said to be so. Nothing
here can refuse a change.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final, TypeVar

from federation.admission.impact import Concerned, Surroundings, losses, told, touched
from federation.admission.review import Request
from federation.api.meta import GROUP
from federation.api.naming import binding_key
from federation.hub.brake_window import Limits
from federation.hub.caches import BY_NAMESPACE, HubCaches
from federation.hub.policies import Policy, judge
from federation.hub.views import cluster_view
from federation.kube.store import Cached
from federation.policy.claim import CLUSTER_KIND, NAMESPACED_KIND, PolicyFacts
from federation.schedule.rehearse import rehearsing
from federation.schedule.snapshot import ClusterView

log = logging.getLogger(__name__)

SECONDS: Final = 1.0
"""Time for it: half of what an API server waits for the whole answer."""
_PLURALS: Final = {"propagationpolicies": NAMESPACED_KIND, "clusterpropagationpolicies": CLUSTER_KIND}

StepT = TypeVar("StepT")


class Foreteller:
    """Knows the hub by its caches, which must be synced."""

    def __init__(self, caches: HubCaches, *, limits: Limits, managed: Callable[[], int]) -> None:
        """`managed`: how many copies there are in the members, of which the brake allows a part."""
        self._caches = caches
        self._limits = limits
        self._managed = managed
        self._views: dict[str, tuple[str, ClusterView]] = {}
        """Cluster -> (resourceVersion, what was read)."""

    async def foretell(self, request: Request) -> tuple[str, ...]:
        """The warnings for whoever asks for a change; none where it moves no more than the brake lets pass at once."""
        if request.group != GROUP or request.resource not in _PLURALS:
            return ()
        try:
            return await self._foretell(request, until=time.monotonic() + SECONDS)
        except Exception:
            log.exception(
                "a change of %s %s/%s could not be foretold", request.resource, request.namespace, request.name
            )
            return ("what this change moves could not be foretold; the log of the hub process says why",)

    async def _foretell(self, request: Request, *, until: float) -> tuple[str, ...]:
        before = judge(request.old) if request.old is not None else None
        after = judge(request.object) if request.operation != "DELETE" else None
        if after is not None:
            after = self._caches.awaiting(after)
        bindings = self._concerned(before, after)
        if not bindings:
            return ()
        clusters = await _taken(self._clusters(), until)
        if len(clusters) < len(self._caches.clusters):
            return told([], looked_at=0, concerned=len(bindings), limits=self._limits, managed=self._managed())
        around = Surroundings(
            clusters=clusters, priority_of_class=self._caches.priority_of_class, now=time.time(),
            peers_of=lambda binding: [peer.manifest() for peer in self._caches.peers_of(binding)],
        )  # fmt: skip
        # Half of the time to find out what is touched, the rest to decide about that.
        middle = (time.monotonic() + until) / 2
        looked = await _taken(
            (touched(found, around) if found is not None else None for found in self._read(bindings, before, after)),
            middle,
        )
        asked = [one for one in looked if one is not None]
        found = await _taken(rehearsing([one.waiting for one in asked], clusters), until)
        return told(
            list(losses(found, asked)), looked_at=len(looked) - len(asked) + len(found), concerned=len(bindings),
            limits=self._limits, managed=self._managed(),
        )  # fmt: skip

    def _concerned(self, before: Policy | None, after: Policy | None) -> list[Cached]:
        """The bindings of the policy, and those that it could take from others by name."""
        found = (
            {one.key: one for one in self._caches.bindings_of_policy(before.facts.uid)} if before is not None else {}
        )
        if after is not None and after.acts and after.facts.preempts:
            for key in self._named(after.facts):
                other = self._caches.binding(key)
                if other is not None:
                    found[key] = other
        return list(found.values())

    def _named(self, facts: PolicyFacts) -> Iterator[tuple[str, str]]:
        """The keys of bindings of the objects that the policy selects by name."""
        everywhere = ["", *(entry.name for entry in self._caches.namespaces.values())]
        for one in facts.selectors:
            place = one.namespace or facts.namespace
            for namespace in [place] if place else everywhere if one.name else ():
                yield binding_key(one.api_version, one.kind, namespace, one.name or "")

    def _read(self, bindings: list[Cached], before: Policy | None, after: Policy | None) -> Iterator[Concerned | None]:
        """Each binding with its template and the policies that could have it; None for one that nothing moves any more.

        One whose kind is not listed yet is passed over: it counts as not looked at (I14).
        """
        among: dict[str, list[Policy]] = {}
        same_claims = before is not None and after is not None and _claims(before) == _claims(after)
        for entry in bindings:
            binding = entry.manifest()
            reference = binding["spec"]["resource"]
            kind = self._caches.template_store(reference["apiVersion"], reference["kind"])
            if kind is None or not kind.synced:
                continue
            template = self._caches.template(binding) if not entry.deleting else None
            if template is None or template.deleting or template.uid != reference["uid"]:
                yield None
                continue
            if entry.namespace not in among:
                others = [] if same_claims else self._others(entry.namespace, before or after)
                among[entry.namespace] = [*others, *([after] if after is not None else [])]
            yield Concerned(binding=binding, template=template.manifest(), policies=among[entry.namespace])

    def _others(self, namespace: str, changed: Policy | None) -> list[Policy]:
        """The other living policies that can claim objects of a namespace."""
        caches = self._caches
        own = caches.policies.by_index(BY_NAMESPACE, namespace) if namespace else []
        policies = [caches.judged(one) for one in (*own, *caches.cluster_policies.values()) if not one.deleting]
        return [one for one in policies if changed is None or _name(one) != _name(changed)]

    def _clusters(self) -> Iterator[ClusterView]:
        """The clusters as the scheduler sees them, each read once per version."""
        before, self._views = self._views, {}
        for entry in sorted(self._caches.clusters.values(), key=lambda entry: entry.name):
            found = before.get(entry.name)
            if found is None or found[0] != entry.resource_version:
                found = entry.resource_version, cluster_view(entry.manifest())
            self._views[entry.name] = found
            yield found[1]


def _claims(policy: Policy) -> tuple[PolicyFacts, bool, bool]:
    """What decides which objects it has: unchanged, each binding stays with it, and no other policy needs to be looked at."""
    return replace(policy.facts, generation=0, changed=""), policy.usable, policy.acts


def _name(policy: Policy) -> tuple[str, str, str]:
    return policy.facts.kind, policy.facts.namespace, policy.facts.name


async def _taken(steps: Iterator[StepT], until: float) -> list[StepT]:
    """What the steps give until a moment of the monotonic clock; others have their turn between two of them."""
    found: list[StepT] = []
    for one in steps:
        found.append(one)
        await asyncio.sleep(0)
        if time.monotonic() > until:
            break
    return found
