"""Why a copy goes or shrinks, as the brake groups it into plans. Pure.

One cause is what one act of a human (or of the scheduler) can do: an edit of a policy, a deletion in a namespace, a
cluster that leaves, a scaling in a namespace. Whoever looks at a plan sees one decision to confirm.
"""

from federation.api.meta import Manifest
from federation.hub.execute.decide import Plan, Step, is_repair
from federation.hub.held import Cause
from federation.hub.views import decision_of
from federation.kube.store import Cached


def ended(binding: Manifest) -> Cause:
    """The template was deleted."""
    place = _place(binding)
    return Cause(f"deleted {place}", f"templates deleted {_where(place)}")


def swept(cluster: str) -> Cause:
    """No binding leads to the copy, and its template is gone: found when its member returned."""
    return Cause(f"swept {cluster}", f"templates deleted while {cluster} was away")


def cause_of(
    binding: Manifest, plan: Plan, observed: Manifest | None, *, cluster: Cached | None, policy: Cached | None
) -> Cause:
    """Why execute is about to take this step, if it turns out to be destructive."""
    place, decision = _place(binding), decision_of(binding)
    targets = decision.targets if decision else {}
    if cluster is not None and cluster.deleting:
        return Cause(f"leaves {cluster.uid}", f"cluster {cluster.name} leaves")
    if plan.step is Step.DELETE and cluster is not None and cluster.name in targets:
        return Cause(f"replaced {place}", f"templates made anew {_where(place)} replace their Jobs and Pods")
    if plan.step is Step.APPLY and observed is not None and is_repair(plan, observed):
        return Cause(f"drift {cluster.uid if cluster else ''}", f"copies were scaled up in {_name(cluster)}")
    trigger = decision.trigger if decision else ""
    if trigger == "ReplicasChanged":
        return Cause(f"scaled {place}", f"templates scaled down {_where(place)}")
    reference = binding["spec"].get("policy") or {}
    generation = policy.generation if policy is not None and policy.uid == reference.get("uid") else "gone"
    name = "/".join(part for part in (reference.get("namespace"), reference.get("name")) if part)
    key = f"policy {reference.get('uid')} {generation}"
    return Cause(key, f"{reference.get('kind')} {name} (generation {generation}) moved its objects")


def _place(binding: Manifest) -> str:
    return binding["spec"]["resource"].get("namespace") or ""


def _where(place: str) -> str:
    return f"in namespace {place}" if place else "of cluster scope"


def _name(cluster: Cached | None) -> str:
    return cluster.name if cluster is not None else "a cluster"
