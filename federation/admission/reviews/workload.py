"""StatefulSets and Jobs as they are created: would the policy that claims them divide what does not bear it (peers.md T18)?

Warned of, not refused: a refusal would hold only while somebody answers here, and a template without a policy is fine. Only
kinds whose parts know their own number are looked at; a Deployment may always be divided.
"""

from collections.abc import Iterator

from federation.admission.review import Request, Snapshot, Verdict
from federation.admission.reviews.targets import spread_over
from federation.hub.policies import Policy
from federation.hub.views import object_facts
from federation.interpret import replicas_of
from federation.policy.claim import choose


def review(request: Request, snapshot: Snapshot) -> Verdict:
    """The verdict on a StatefulSet or Job; it is never refused."""
    return Verdict(warnings=tuple(_warnings(request, snapshot)))


def _warnings(request: Request, snapshot: Snapshot) -> Iterator[str]:
    template = request.object
    facts = object_facts({**template, "metadata": {"name": "", **template["metadata"]}})
    usable = {policy.facts: policy for policy in snapshot.policies if policy.usable}
    winner = choose(facts, list(usable), None).winner
    replicas = replicas_of(template) or 0
    if winner is None or replicas < 2:
        return
    policy: Policy = usable[winner]
    clusters = min(spread_over(policy.spec.placement, snapshot.clusters), replicas)
    if clusters < 2:
        return
    if facts.kind == "StatefulSet":
        yield (
            f"{winner} divides this StatefulSet over up to {clusters} clusters: that many sets, each from ordinal 0, that do not"
            " know each other. A policy of its own with one cluster keeps it whole"
        )
    elif (template.get("spec") or {}).get("completionMode") == "Indexed":
        yield (
            f"{winner} divides this Indexed Job over up to {clusters} clusters: each counts its indexes from 0, so some run twice"
            " and some never. A policy of its own with one cluster keeps it whole"
        )
