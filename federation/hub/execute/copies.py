"""One step for one copy: look at decision, template and member, plan, do it, and say what was found out.

What decides is pure (`decide.py`, `permit.py`); here is only what it takes to ask it: caches, clocks of patience, answers.
"""

import time
from functools import partial

from federation.api.binding import Decision
from federation.api.lines import parse_line
from federation.api.meta import LEAVE_ANNOTATION, Manifest
from federation.api.naming import BindingKey
from federation.hub.caches import HubCaches
from federation.hub.evidence import kind_goes
from federation.hub.execute.apply import Applier, Permit
from federation.hub.execute.causes import cause_of
from federation.hub.execute.decide import (
    Identity,
    MemberState,
    Plan,
    Step,
    inputs_stand,
    is_repair,
    may_still_be_chosen,
    plan_dropped,
    plan_target,
)
from federation.hub.execute.diff import contested, residue
from federation.hub.execute.patience import Patience
from federation.hub.execute.permit import permitted
from federation.hub.execute.render import render
from federation.hub.execute.report import Outcome, held_outcome
from federation.hub.fleet import Fleet
from federation.hub.history import History
from federation.hub.views import cluster_facts, decision_of, leaves_at_once, lines_of, override_facts
from federation.kube.errors import ApiError, Conflict
from federation.kube.fence import Fenced
from federation.kube.resource import CLUSTERS
from federation.kube.store import Cached
from federation.policy.override import OverrideError, OverrideFacts
from federation.policy.suspend import suspended
from federation.schedule.moves import is_divided

CopyKey = tuple[str, str, str]
"""(binding namespace, binding name, cluster)"""
_EARLY = frozenset({"NotJoined", "Unknown"})


class Copies:
    """Brings copies in line, one step at a time."""

    def __init__(self, caches: HubCaches, fleet: Fleet, applier: Applier, history: History) -> None:
        self._caches = caches
        self._fleet = fleet
        self._applier = applier
        self._history = history
        self._patience = Patience()
        self._kind_goes_of: dict[str, bool] = {}
        """UID of a Cluster that is being deleted -> whether that is because its definition is."""

    def forget(self, key: BindingKey) -> None:
        """The binding is gone, or going."""
        self._patience.forget(key)

    def forget_cluster(self, uid: str) -> None:
        """The Cluster is gone."""
        self._kind_goes_of.pop(uid, None)

    async def step(
        self, key: CopyKey, binding: Manifest, *, noted: Outcome | None
    ) -> tuple[Outcome | None, float | None]:
        """(what it found out, seconds until the next look). `noted`: what the last step found out."""
        decision = decision_of(binding)
        template = self._caches.template(binding)
        if (
            decision is None
            or template is None
            or template.deleting
            or template.uid != binding["spec"]["resource"]["uid"]
        ):
            return None, None
        cluster = key[2]
        entry = self._caches.clusters.get("", cluster)
        if entry is None:
            # The Cluster object is gone: nothing there is ours to know or to touch any more, connected still or not.
            self._patience.forget(key[:2], cluster)
            return Outcome(epoch=decision.epoch, generation=template.generation, gone=True), None
        # A cluster that leaves keeps its copy until the decision drops it: make before break holds for `leave` as well.
        leaving = leaves_at_once(entry.manifest())
        if entry.deleting and await self._kind_goes(entry):
            return None, None
        state = self._member_state(cluster, binding)
        if cluster not in decision.targets or leaving:
            if state.observed is not None and may_still_be_chosen(binding, entry.manifest(), now=time.time()):
                return None, 1.0
            keep = bool(binding["spec"].get("preserveResourcesOnDeletion")) or _keeps(entry)
            plan = plan_dropped(identity=self._identity(key), member=state, keep=keep)
        else:
            found = self._plan(key, binding, decision, template, state, noted)
            if not isinstance(found, Plan):
                return found, None
            plan = found
        permit = partial(permitted, epoch=decision.epoch, behind=self._history.behind)
        plan = permit(plan, state.observed)
        return await self._take(key, binding, template, decision.epoch, state, plan, permit)

    def _plan(
        self,
        key: CopyKey,
        binding: Manifest,
        decision: Decision,
        template: Cached,
        state: MemberState,
        noted: Outcome | None,
    ) -> Plan | Outcome | None:
        """The step for a target, or what there is to say where none is due."""
        cluster, body = key[2], template.manifest()
        entry = self._caches.clusters.get("", cluster)
        if not inputs_stand(decision, body, binding["spec"].get("scale")):
            return None
        if suspended(binding["spec"].get("suspension"), cluster):
            return _outcome(decision.epoch, template, reason="Suspended", message="dispatching is suspended")
        try:
            rendering = render(
                body,
                cluster=cluster_facts(entry.manifest() if entry else {}),
                shares=decision.targets if is_divided(decision) else {},
                overrides=self._overrides(body),
            )
        except OverrideError as error:
            return _outcome(decision.epoch, template, reason="OverrideFailed", message=str(error))
        kept = parse_line(lines_of(binding).get(cluster, "")).get("kept", "")
        plan = plan_target(
            identity=self._identity(key), rendering=rendering, template=body, epoch=decision.epoch, member=state,
            at_least=decision.returned.get(cluster, 0),
            kept=noted.kept if noted and not noted.reason else kept, at=self._history.stamp(),
        )  # fmt: skip
        if plan.step is not Step.NOTHING:
            return plan
        self._patience.known(key[:2], cluster)
        return _outcome(decision.epoch, template, hash=rendering.hash, kept=residue(list(plan.differences)))

    def _identity(self, key: CopyKey) -> Identity:
        return Identity(hub_id=self._caches.hub_id, namespace=key[0], name=key[1])

    async def _take(
        self,
        key: CopyKey,
        binding: Manifest,
        template: Cached,
        epoch: int,
        state: MemberState,
        plan: Plan,
        permit: Permit,
    ) -> tuple[Outcome | None, float | None]:
        now = time.monotonic()
        if plan.step is Step.NOTHING:
            self._patience.forget(key[:2], key[2])
            return Outcome(epoch=epoch, generation=template.generation, gone=True), None
        if plan.step is Step.WAIT and plan.reason in _EARLY and self._patience.early(key[:2], key[2], now=now):
            return None, 0.2
        self._patience.known(key[:2], key[2])
        if plan.step in (Step.WAIT, Step.REFUSE):
            pause = 30.0 if plan.step is Step.REFUSE else {"Unknown": 0.2, "Forbidden": 5.0}.get(plan.reason, 10.0)
            return _outcome(epoch, template, reason=plan.reason, message=plan.message), pause
        member = self._fleet.get(key[2])
        reference = binding["spec"]["resource"]
        if member is None:
            return None, None
        if plan.step is Step.APPLY and state.observed is not None and is_repair(plan, state.observed):
            wait = self._patience.overwrite(key[:2], key[2], now=now)
            if wait is not None:
                message = contested(state.observed, plan.differences)
                return _outcome(epoch, template, reason="Contested", message=message), wait
        body = template.manifest()
        cause = cause_of(
            binding, plan, state.observed, cluster=self._caches.clusters.get("", key[2]),
            policy=self._caches.policy_of(binding),
        )  # fmt: skip
        try:
            result = await self._applier.take(
                member,
                reference,
                plan,
                template=body,
                binding=binding,
                hub_id=self._caches.hub_id,
                cause=cause,
                permit=permit,
            )
        except Fenced:
            return None, 1.0  # our lease is not certain: another process may be about to do it
        except Conflict:
            await self._applier.look_again(member, reference)
            raise  # the queue tries again, slower each time
        except ApiError as error:
            reason, message, again = self._applier.explain(member, reference, error)
            return _outcome(epoch, template, reason=reason, message=message), again
        if result.stopped is not None:
            return held_outcome(result.stopped.change, result.stopped.verdict, epoch, template.generation)
        if result.refused is not None:
            return _outcome(epoch, template, reason=result.refused.reason, message=result.refused.message), 30.0
        if plan.step in (Step.DELETE, Step.UNMARK):
            return None, None  # the watch tells when it is gone
        return _outcome(epoch, template, hash=result.hash, kept=result.kept), None

    async def _kind_goes(self, cluster: Cached) -> bool:
        """Whether a Cluster is deleted only because its definition is: then nobody asked for its copies to go (I21)."""
        if cluster.uid not in self._kind_goes_of:
            self._kind_goes_of[cluster.uid] = await kind_goes(self._caches.client, CLUSTERS)
        return self._kind_goes_of[cluster.uid]

    def _overrides(self, template: Manifest) -> list[OverrideFacts]:
        namespace = template["metadata"].get("namespace") or ""
        return [override_facts(entry.manifest()) for entry in self._caches.overrides_for(namespace)]

    def _member_state(self, cluster: str, binding: Manifest) -> MemberState:
        reference = binding["spec"]["resource"]
        kind = (reference["apiVersion"], reference["kind"])
        member = self._fleet.get(cluster)
        if member is None:
            return MemberState(joined=False, reachable=False, serves=False, knows=False)
        copy = member.copy(kind, reference.get("namespace") or "", reference["name"])
        return MemberState(
            joined=True,
            reachable=member.reachable,
            serves=member.resource_of(kind) is not None,
            knows=member.knows(kind) and self._history.knows(member),
            observed=copy.manifest() if copy else None,
            error=member.trouble(kind),
        )


def _outcome(
    epoch: int,
    template: Cached,
    *,
    reason: str = "",
    message: str = "",
    hash: str = "",  # noqa: A002 - the word of the line
    kept: str = "",
) -> Outcome:
    return Outcome(epoch=epoch, generation=template.generation, reason=reason, message=message, hash=hash, kept=kept)


def _keeps(cluster: Cached) -> bool:
    return cluster.deleting and cluster.annotations.get(LEAVE_ANNOTATION) == "keep"
