"""What a Rebalance asks of the bindings, and its status. Pure: snapshot in, plan out.

The request is a token in `binding.spec.rebalance`, which the decision that answers it records among its inputs. Tokens grow with
the age of the Rebalance, so of two for one workload the later one counts and answers both; none is ever set twice.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from federation.api.binding import Decision
from federation.api.meta import Manifest, parse_lenient
from federation.api.moments import seconds_of
from federation.api.naming import BindingKey, binding_key
from federation.api.words import shares_text
from federation.hub.conditions import condition, cut, timestamp
from federation.schedule.triggers import rebalanced

SUCCESSFUL, FAILED = "Successful", "Failed"
NOT_FOUND = "ReferencedBindingNotFound"


@dataclass(frozen=True, slots=True)
class Plan:
    """`ask`: the bindings that still have to be asked; `status`: what to store; `ends_in`: seconds until the time to live is over, 0 or less when it is."""

    ask: list[BindingKey] = field(default_factory=list)
    status: Manifest = field(default_factory=dict)
    ends_in: float | None = None


def token_of(rebalance: Manifest) -> str:
    """What the bindings are asked with: it sorts by age."""
    metadata = rebalance["metadata"]
    return f"{metadata['creationTimestamp']} {metadata['uid']}"


def binding_keys(rebalance: Manifest) -> list[BindingKey]:
    """The bindings of the named workloads, in their order."""
    return [
        binding_key(one["apiVersion"], one["kind"], one.get("namespace") or "", one["name"])
        for one in rebalance["spec"].get("workloads") or ()
    ]


def plan(rebalance: Manifest, bindings: Mapping[BindingKey, Manifest], *, now: float) -> Plan:
    """What to do about one Rebalance. `bindings`: those of its workloads that exist. `now`: seconds since the epoch."""
    token, stored = token_of(rebalance), rebalance.get("status") or {}
    known = {
        orjson.dumps(one["workload"], option=orjson.OPT_SORT_KEYS): one
        for one in stored.get("observedWorkloads") or ()
        if one.get("result") == SUCCESSFUL
    }
    observed: list[Manifest] = []
    ask: list[BindingKey] = []
    workloads = rebalance["spec"].get("workloads") or ()
    for workload, key in zip(workloads, binding_keys(rebalance), strict=True):
        binding = bindings.get(key)
        # What was answered stays answered: the workload may have been scheduled for other reasons, or be gone, since.
        answered = known.get(orjson.dumps(workload, option=orjson.OPT_SORT_KEYS))
        observed.append(answered or {"workload": workload, **_result(binding, token)})
        if binding is not None and answered is None and (binding["spec"].get("rebalance") or "") < token:
            ask.append(key)
    return _with_status(rebalance, observed, ask, now=now)


def _with_status(rebalance: Manifest, observed: list[Manifest], ask: list[BindingKey], *, now: float) -> Plan:
    stored, generation = rebalance.get("status") or {}, rebalance["metadata"].get("generation") or 0
    failed = [one for one in observed if one.get("result") == FAILED]
    waiting = [one for one in observed if not one.get("result")]
    if waiting:
        ready, reason = "False", "Rebalancing"
        message = f"{len(waiting)} of {len(observed)} workloads wait for a decision"
    elif failed:
        ready, reason, message = "False", "Failed", f"{len(failed)} of {len(observed)} workloads could not be scheduled"
    else:
        ready, reason, message = "True", "Rebalanced", ""
    before = next((one for one in stored.get("conditions") or () if one["type"] == "Ready"), None)
    status: Manifest = {
        "observedGeneration": generation, "observedWorkloads": observed,
        "conditions": [
            condition(before, kind="Ready", status=ready, reason=reason, message=message, generation=generation, now=now)
        ],
    }  # fmt: skip
    if waiting:
        return Plan(ask=ask, status=status)
    finished = stored.get("finishTime") if stored.get("observedGeneration") == generation else None
    status["finishTime"] = finished or timestamp(now)
    lives = rebalance["spec"].get("ttlSecondsAfterFinished")
    since = seconds_of(status["finishTime"])
    return Plan(ask=ask, status=status, ends_in=None if lives is None or since is None else since + lives - now)


def _result(binding: Manifest | None, token: str) -> dict[str, Any]:
    if binding is None:
        return {"result": FAILED, "reason": NOT_FOUND, "message": "no policy claims it: fedctl explain says why"}
    status = binding.get("status") or {}
    decision = status.get("decision") or {}
    if decision and rebalanced(parse_lenient(Decision, decision)) >= token:
        shares = shares_text(decision.get("targets") or {})
        return {"result": SUCCESSFUL, "message": cut(f"decision {decision['epoch']}: {shares}")}
    asked = (binding["spec"].get("rebalance") or "") >= token
    scheduled: Manifest = next((one for one in status.get("conditions") or () if one["type"] == "Scheduled"), {})
    if asked and scheduled.get("status") == "False":
        return {"reason": scheduled.get("reason") or "", "message": cut(scheduled.get("message") or "")}
    return {}
