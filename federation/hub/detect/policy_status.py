"""What a policy says of itself: what it claims, what it lost and to whom, what is placed, what is not and why. Pure."""

from collections.abc import Mapping, Sequence

from federation.api.meta import Manifest
from federation.hub.conditions import condition
from federation.hub.policies import Policy

FIRST = 10
"""Problems listed by name; the counts say how many there are."""


def policy_status(
    policy: Policy,
    stored: Manifest,
    *,
    bindings: Sequence[Manifest],
    lost: Mapping[str, str],
    never: Mapping[str, str],
    waits: Mapping[str, str],
    now: float,
) -> Manifest:
    """The status to store.

    `bindings` are those that name the policy; `lost` maps an object to the policy that has it instead; `never` maps an
    object to the reason why it is not propagated; `waits` maps an object to what is missing before it can be placed.
    """
    problems = [f"{policy_violation.field}: {policy_violation.message}" for policy_violation in policy.violations]
    unplaced = [line for line in (_unplaced(binding) for binding in bindings) if line]
    unplaced += [f"{name}: {missing}" for name, missing in waits.items()]
    conditions = {entry["type"]: entry for entry in stored.get("conditions") or []}
    generation = policy.facts.generation
    if problems:
        status, reason, message = "False", "Invalid", "; ".join(problems)
    elif unplaced:
        status, reason, message = "False", "NotPlaced", "; ".join(sorted(unplaced)[:FIRST])
    else:
        status, reason, message = "True", "Placed" if bindings else "NothingSelected", ""
    stalled = "True" if problems else "False"
    result: Manifest = {
        "observedGeneration": generation,
        "claimed": len(bindings) + len(waits),
        "placed": len(bindings) + len(waits) - len(unplaced),
        "neverPropagated": len(never),
        "conditions": [
            condition(
                conditions.get("Ready"), kind="Ready", status=status, reason=reason, message=message,
                generation=generation, now=now,
            ),
            condition(
                conditions.get("Stalled"), kind="Stalled", status=stalled, reason="Invalid" if problems else "Valid",
                message="", generation=generation, now=now,
            ),
        ],
    }  # fmt: skip
    if lost:
        result["lost"] = [f"{name} to {winner}" for name, winner in sorted(lost.items())][:FIRST]
    if unplaced:
        result["notPlaced"] = sorted(unplaced)[:FIRST]
    return result


def _unplaced(binding: Manifest) -> str | None:
    conditions = (binding.get("status") or {}).get("conditions") or []
    scheduled = next((entry for entry in conditions if entry["type"] == "Scheduled"), None)
    if scheduled is None or scheduled["status"] == "True":
        return None
    resource = binding["spec"]["resource"]
    return f"{resource['kind']} {resource['name']}: {scheduled['reason']}: {scheduled['message']}"[:256]
