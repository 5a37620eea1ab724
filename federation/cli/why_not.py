"""`fedctl why-not CLUSTER KIND/NAME`: every reason why a cluster does not have a workload, and what would change that.

Each suggestion was applied to the same functions that decide before it is printed.
"""

from typing import Any

from federation.cli.explain import outcome_of
from federation.cli.output import console, show
from federation.cli.picture import Picture, take
from federation.cli.session import Refused
from federation.hub.views import decision_of
from federation.kube.client import Client
from federation.schedule.eligible import refuse
from federation.schedule.fixes import nearest


async def why_not(hub: Client, cluster: str, text: str, namespace: str, output: str) -> bool:
    """Print the reasons; whether the cluster has the workload after all. Raises Refused."""
    picture = await take(hub, text, namespace)
    answer = tell(picture, cluster, text)
    if not show(answer, output):
        for line in answer["lines"]:
            console().print(line, markup=False)
    return bool(answer["placed"])


def tell(picture: Picture, cluster: str, text: str) -> dict[str, Any]:
    """The answer as data. Raises Refused for a cluster that there is not."""
    known = [str(one["metadata"]["name"]) for one in picture.clusters]
    if cluster not in known:
        raise Refused(f"there is no cluster {cluster}; there are {', '.join(known) or 'none'}")
    answer: dict[str, Any] = {
        "cluster": cluster,
        "placed": False,
        "refusal": None,
        "fixes": [],
        "stuck": "",
        "lines": [],
    }
    if picture.binding is None:
        claim = picture.claim()
        near = f": {claim.nearest[1]}" if claim.nearest else ""
        answer["lines"] = [f"no policy claims {text}{near}", f"fedctl explain {text} says more"]
        return answer
    decision = decision_of(picture.binding)
    outcome = outcome_of(picture)
    if decision is not None and cluster in decision.targets:
        answer["placed"] = True
        answer["lines"] = [f"{cluster} has it: {decision.targets[cluster]} replicas by decision {decision.epoch}"]
        return answer
    view = next(one for one in outcome.clusters if one.name == cluster)
    refusal = refuse(outcome.binding, view)
    fixes = nearest(outcome.binding, outcome.clusters, cluster)
    answer |= {
        "refusal": None if refusal is None else {"plugin": refusal.plugin, "detail": refusal.detail or refusal.reason},
        "fixes": [{"for": one.refusal, "text": one.text, "command": one.command} for one in fixes.changes],
        "stuck": fixes.stuck,
    }
    lines = [f"{refusal.plugin}: {refusal.detail or refusal.reason}"] if refusal else [f"{cluster} passes every filter"]
    if fixes.changes:
        lines.append("what would change that" + (", all of it:" if len(fixes.changes) > 1 else ":"))
        lines += [f"  {one.text}" + (f"  ({one.command})" if one.command else "") for one in fixes.changes]
    if fixes.stuck:
        lines.append(f"what stays in the way: {fixes.stuck}")
    if refusal is None and not fixes.changes:
        lines.append(f"what is placed well stays where it is; to divide anew: fedctl rebalance {text}")
    answer["lines"] = lines
    return answer
