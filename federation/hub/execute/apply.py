"""One step against one member: create, apply, delete or unmark, and what its answer means.

Creating is a create-only apply: 201, or 409 where anything of that name exists; only then we look whose it is. Every
delete and every apply that lowers replicas asks the brake first (I15); this is the only place that makes such writes.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from federation.api.lines import parse_line
from federation.api.meta import Manifest
from federation.hub.brake import Gate, Verdict
from federation.hub.execute.decide import Identity, Plan, Step, apply_over, foreign, is_ours, mark_of, unmarked
from federation.hub.execute.diff import diff, residue
from federation.hub.execute.namespaces import Namespaces
from federation.hub.fleet import Member
from federation.hub.held import DELETE, HELD, Cause, Change, shrink
from federation.hub.views import lines_of
from federation.interpret import retain
from federation.kube.errors import AlreadyExists, ApiError, Conflict, Forbidden, Invalid, NotFound, Unauthorized
from federation.kube.resource import Resource

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Result:
    """What an apply left behind: the hash that was applied, and the residue that the member insists on."""

    hash: str = ""
    kept: str = ""
    refused: Plan | None = None
    stopped: "Stopped | None" = None
    """The brake let nothing through; nothing was sent."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """What the brake stopped, and whether it is held or only to be asked again."""

    change: Change
    verdict: Verdict


Permit = Callable[[Plan, Manifest], Plan]
"""(plan, what the member has) -> the plan, or one that waits: asked where a create finds an object of ours."""


def _always(plan: Plan, _observed: Manifest) -> Plan:
    return plan


class Applier:
    """Takes the steps that `decide` planned."""

    def __init__(self, namespaces: Namespaces, gate: Gate) -> None:
        self._namespaces = namespaces
        self._gate = gate

    async def take(
        self, member: Member, reference: Manifest, plan: Plan, *, template: Manifest, binding: Manifest, hub_id: str,
        cause: Cause, permit: Permit = _always,
    ) -> Result:  # fmt: skip
        """Take one step. `cause`: why, if it is destructive. Raises ApiError as the member answered; see `explain`."""
        resource = member.resource_of((reference["apiVersion"], reference["kind"]))
        if resource is None:
            return Result()
        namespace, name = reference.get("namespace"), reference["name"]
        if plan.step is Step.DELETE:
            line = _line(binding, member)
            return Result(stopped=await self.delete(member, resource, namespace, name, plan, cause=cause, line=line))
        if plan.step is Step.UNMARK and plan.manifest is not None:
            await self.unmark(member, resource, plan.manifest)
        elif plan.step is Step.CREATE and plan.manifest is not None:
            return await self._create(
                member,
                resource,
                plan.manifest,
                template=template,
                binding=binding,
                hub_id=hub_id,
                cause=cause,
                permit=permit,
            )
        elif plan.step is Step.APPLY and plan.manifest is not None:
            found = member.copy((reference["apiVersion"], reference["kind"]), namespace or "", name)
            observed = found.manifest() if found else {"metadata": {}}
            return await self._apply(member, resource, plan, observed, binding=binding, cause=cause)
        return Result()

    async def look_again(self, member: Member, reference: Manifest) -> None:
        """Take in what a member holds now: what a step was planned from is no longer so."""
        kind = (reference["apiVersion"], reference["kind"])
        resource, store = member.resource_of(kind), member.store(kind)
        if resource is None or store is None:
            return
        try:
            store.learn(await member.client.get(resource, reference["name"], reference.get("namespace")))
        except NotFound:
            return  # the watch is about to tell

    async def _stopped(self, change: Change, line: str) -> Stopped | None:
        """Ask the brake about a destructive write; None means that it may be made. `line`: the member's stored one."""
        known = parse_line(line)
        held = known.get("reason") == HELD and known.get("change") == change.id
        verdict = await self._gate.allow(replace(change, held=held))
        return None if verdict is Verdict.ALLOWED else Stopped(change, verdict)

    async def delete(
        self,
        member: Member,
        resource: Resource,
        namespace: str | None,
        name: str,
        plan: Plan,
        *,
        cause: Cause,
        line: str = "",
    ) -> Stopped | None:
        """Delete a copy, by UID and resourceVersion (I6), unless the brake stops it."""
        change = Change(cluster=member.name, uid=plan.uid, what=DELETE, cause=cause)
        stopped = await self._stopped(change, line)
        if stopped is not None:
            return stopped
        try:
            await member.client.delete(
                resource,
                name,
                namespace,
                uid=plan.uid,
                resource_version=plan.resource_version,
                propagation="Background",
            )
        except NotFound:
            return None
        if namespace:
            self._namespaces.emptied(member.name, namespace)
        return None

    async def unmark(self, member: Member, resource: Resource, observed: Manifest) -> None:
        """Leave the object behind as if we had never been there."""
        metadata = observed["metadata"]
        try:
            await member.client.json_patch(resource, metadata["name"], metadata.get("namespace"), unmarked(observed))
        except NotFound:
            return

    async def _create(
        self,
        member: Member,
        resource: Resource,
        desired: Manifest,
        *,
        template: Manifest,
        binding: Manifest,
        hub_id: str,
        cause: Cause,
        permit: Permit,
    ) -> Result:
        namespace, name = desired["metadata"].get("namespace"), desired["metadata"]["name"]
        try:
            created = await self._create_only(member, resource, desired)
        except (AlreadyExists, Conflict):
            found = await member.client.get(resource, name, namespace)
            identity = Identity(
                hub_id=hub_id, namespace=binding["metadata"].get("namespace") or "", name=binding["metadata"]["name"]
            )
            if not is_ours(found, identity):
                plan = foreign(
                    found,
                    template=template,
                    desired=desired,
                    policy_resolution=binding["spec"].get("conflictResolution"),
                )
                if plan.step is Step.REFUSE or plan.manifest is None:
                    return Result(refused=plan)
            plan = permit(apply_over(retain(desired, found), found), found)
            if plan.step is Step.WAIT:
                return Result(refused=plan)
            return await self._apply(member, resource, plan, found, binding=binding, cause=cause)
        return self._result(member, resource, desired, created)

    async def _create_only(self, member: Member, resource: Resource, desired: Manifest) -> Manifest:
        namespace = desired["metadata"].get("namespace")
        try:
            return await member.client.apply(resource, desired, create_only=True)
        except NotFound:
            if not namespace:
                raise
            await self._namespaces.make(member, namespace)
            return await member.client.apply(resource, desired, create_only=True)

    async def _apply(
        self, member: Member, resource: Resource, plan: Plan, observed: Manifest, *, binding: Manifest, cause: Cause
    ) -> Result:
        """Apply over an object that is there. Raises Conflict where it is not as it was when this was planned."""
        desired = plan.manifest or {}
        less = shrink(observed, desired)
        if less:
            change = Change(cluster=member.name, uid=observed["metadata"]["uid"], what=less, cause=cause)
            stopped = await self._stopped(change, _line(binding, member))
            if stopped is not None:
                return Result(stopped=stopped)
        guards = {"uid": plan.uid, "resourceVersion": plan.resource_version}
        metadata = desired["metadata"] | {key: value for key, value in guards.items() if value}
        try:
            applied = await member.client.apply(resource, {**desired, "metadata": metadata}, force=True)
        except Invalid as error:
            if all(one.field != "metadata.uid" for one in error.causes):
                raise
            raise Conflict(409, "Conflict", error.message) from error
        return self._result(member, resource, desired, applied)

    def _result(self, member: Member, resource: Resource, desired: Manifest, answer: Manifest) -> Result:
        """What still differs in the member's own answer is what its admission or types insist on: kept, not fought."""
        store = member.store((resource.api_version, resource.kind))
        if store is not None:
            store.learn(answer)
        mark = mark_of(desired)
        return Result(hash=mark.hash if mark else "", kept=residue(diff(retain(desired, answer), answer)))

    def explain(self, member: Member, reference: Manifest, error: ApiError) -> tuple[str, str, float | None]:
        """(reason, message, seconds until the next try) of a refused step."""
        resource = member.resource_of((reference["apiVersion"], reference["kind"]))
        if isinstance(error, Forbidden):
            return "Forbidden", forbidden(member.name, resource, error), 15.0
        if isinstance(error, Unauthorized):
            return (
                "Unauthorized",
                f"the member refuses our token; run: fedctl join {member.name} --renew --kubeconfig F",
                15.0,
            )
        if isinstance(error, Invalid):
            return "Invalid", error.message, 60.0
        if isinstance(error, Conflict | AlreadyExists):
            return "Conflict", error.message, 1.0
        log.info("%s: %s", member.name, error)
        if error.status == 0:
            # A request that was lost does not make a member unreachable, with which what it holds would count as given up.
            return "NoAnswer" if member.reachable else "Unreachable", error.message, 2.0
        return error.reason or "Failed", error.message, 2.0


def _line(binding: Manifest, member: Member) -> str:
    return lines_of(binding).get(member.name, "")


def forbidden(cluster: str, resource: Resource | None, error: ApiError) -> str:
    """What is missing and the command that mends it."""
    kind = (
        f"{resource.plural}.{resource.group}"
        if resource and resource.group
        else resource.plural
        if resource
        else "KIND"
    )
    return f"{error.message}. Run: fedctl allow {cluster} {kind} --kubeconfig F"
