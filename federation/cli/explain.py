"""`fedctl explain KIND/NAME`: which policy won, each cluster's verdict with numbers, the shares and why.

Made by the functions that decide, so explanation and decision cannot disagree.
"""

from typing import Any

import orjson

from federation.api.lines import parse_line
from federation.api.meta import Manifest, parse_lenient
from federation.api.placement import Placement
from federation.api.words import shares_text
from federation.cli.output import console, show, table
from federation.cli.picture import Picture, take
from federation.hub.policies import judge
from federation.hub.views import binding_view, cluster_view, condition, decision_of, object_facts, with_peers
from federation.interpret import replicas_of
from federation.kube.client import Client
from federation.policy.never import never_propagated
from federation.policy.selectors import NAME, selectors_priority
from federation.schedule.decide import Outcome, schedule
from federation.schedule.divide.assign import DUPLICATED, STATIC_WEIGHT
from federation.schedule.divide.static import static_weights
from federation.schedule.fixes import first_fixes
from federation.schedule.triggers import trigger

Story = dict[str, Any]
FIXES = 5
"""Clusters whose nearest fix is given; `fedctl why-not CLUSTER` says that of any other."""


async def explain(hub: Client, text: str, namespace: str, output: str) -> None:
    """Print the story of one template."""
    picture = await take(hub, text, namespace)
    story = tell(picture)
    if show(story, output):
        return
    out = console()
    for line in story["lines"]:
        out.print(line, markup=False)
    if story["clusters"]:
        out.print()
        table(
            ("CLUSTER", "VERDICT", "SCORE", "FREE", "SHARE", "MEMBER"),
            [
                (one["cluster"], one["verdict"], one["score"], one["free"], one["share"], one["member"])
                for one in story["clusters"]
            ],
        )


def tell(picture: Picture) -> Story:
    """The story as data: `lines` for people, `policy`, `decision`, `clusters` for programs. Pure."""
    metadata = picture.template["metadata"]
    place = f"{metadata['namespace']}/" if metadata.get("namespace") else ""
    title = f"{picture.template['kind']} {place}{metadata['name']}"
    replicas = replicas_of(picture.template)
    lines = [title + (f": {replicas} replicas wanted" if replicas is not None else "")]
    claim = picture.claim()
    winner = claim.winner
    policy = next(
        (one for one in picture.policies if winner is not None and one["metadata"]["uid"] == winner.uid), None
    )
    lines += _policy_lines(picture, policy)
    story: Story = {
        "template": title, "policy": str(winner) if winner else None,
        "losers": [{"policy": str(loser), "reason": reason} for loser, reason in claim.losers],
        "nearest": claim.nearest[1] if claim.nearest else None, "decision": None, "clusters": [], "lines": lines,
    }  # fmt: skip
    lines += [f"  {loser} loses: {reason}" for loser, reason in claim.losers]
    if picture.binding is None:
        return story
    story["decision"] = picture.status.get("decision")
    outcome = outcome_of(picture)
    lines += _decision_lines(picture, outcome)
    story["clusters"] = _cluster_rows(picture, outcome)
    lines += [
        f"  to have it in {one['cluster']} too: {'; '.join(one['fix'])}" for one in story["clusters"] if one["fix"]
    ]
    return story


def _policy_lines(picture: Picture, policy: Manifest | None) -> list[str]:
    if policy is not None:
        spec = judge(policy)
        match = selectors_priority(spec.facts.selectors, object_facts(picture.template))
        how = {1: "kind", 2: "label", 3: "name"}.get(match, "")
        never = never_propagated(picture.template, named=match == NAME)
        lines = [f"policy: {spec.facts} claims it by {how}, priority {spec.facts.priority}"]
        waiting = picture.plan().waiting
        lines += [f"  but it does not act yet: {waiting}"] if waiting else []
        return [*lines, f"  but it is never propagated: {never}"] if never else lines
    if picture.binding is not None and picture.policy is None:
        return ["policy: gone; what was decided stays (deleting a policy moves nothing)"]
    lines = ["policy: none claims it"]
    nearest = picture.claim().nearest
    if nearest is not None:
        lines.append(f"  nearest: {nearest[1]}")
    for manifest, judged in picture.judged():
        lines += [
            f"  {manifest['kind']} {manifest['metadata']['name']} cannot be used: {one.field}: {one.message}"
            for one in judged.violations
        ]
    return lines


def outcome_of(picture: Picture) -> Outcome:
    """What the scheduler would answer now, by today's clusters."""
    binding = picture.binding or {}
    view = binding_view(binding, picture.template, picture.in_force())
    if picture.peers:
        view = with_peers(view, binding, [(one, found.targets) for one in picture.peers if (found := decision_of(one))])
    return schedule(view, [cluster_view(one) for one in picture.clusters])


def _decision_lines(picture: Picture, outcome: Outcome) -> list[str]:
    decision = decision_of(picture.binding or {})
    if decision is None:
        return [f"decision: none yet: {outcome.error or 'it is being taken'}"]
    shares = shares_text(decision.targets, nowhere="no cluster")
    lines = [f"decision {decision.epoch} ({decision.trigger}): {shares}", f"  {_why(outcome, decision.inputs)}"]
    if decision.affinity:
        lines.append(f"  affinity group in use: {decision.affinity}")
    lines += [f"  {note}" for note in decision.notes]
    if outcome.selection is not None:
        lines += [f"  {line}" for line in outcome.selection.lines]
    lines += [f"  refused: {text}" for text in decision.refused]
    lines += [
        f"  moving {move.replicas or 'the copy'} from {move.from_} to {move.to or 'no other: it waits until one serves'}"
        + (f" ({move.granted} added there, awaited)" if move.granted and move.to else "")
        for move in decision.moves
    ]
    scheduled = condition(picture.binding or {}, "Scheduled") or {}
    if scheduled.get("status") == "False":
        lines.append(f"  the last attempt failed: {scheduled.get('reason')}: {scheduled.get('message')}")
    pending = trigger(outcome.binding, outcome.clusters)
    if pending is not None:
        lines.append(f"  a new decision is due: {pending}")
    return lines


def _why(outcome: Outcome, inputs: str) -> str:
    recorded = orjson.loads(inputs)
    if recorded.get("replicas") is None:
        return "an object without replicas goes to every cluster that passes"
    if outcome.strategy == DUPLICATED:
        return f"Duplicated: every cluster that passes gets all {recorded['replicas']} replicas"
    if outcome.strategy == STATIC_WEIGHT:
        placement = parse_lenient(Placement, recorded.get("placement") or {})
        preference = placement.replica_scheduling.weight_preference if placement.replica_scheduling else None
        facts = [cluster.facts for cluster in outcome.clusters if cluster.name not in outcome.refusals]
        weights = static_weights(facts, preference.static_weight_list if preference else None)
        text = ":".join(f"{name} {weight}" for name, weight in sorted(weights.items()))
        return f"{recorded['replicas']} replicas divided by static weights {text} (Webster's method)"
    return f"{recorded['replicas']} replicas divided by what is free ({outcome.strategy})"


def _cluster_rows(picture: Picture, outcome: Outcome) -> list[Story]:
    decision = decision_of(picture.binding or {})
    targets = decision.targets if decision is not None else {}
    members = picture.status.get("members") or {}
    left_out = {one.cluster: one for one in outcome.selection.left_out} if outcome.selection is not None else {}
    rows = []
    fixes = first_fixes(outcome.binding, outcome.clusters, outcome.refusals, most=FIXES)
    for verdict in outcome.verdicts:
        line = parse_line(members.get(verdict.cluster, ""))
        refusal = verdict.refusal
        text = "ok" if refusal is None else f"no {refusal.plugin}: {refusal.detail or refusal.reason}"
        left = left_out.get(verdict.cluster)
        if left is not None:
            text = f"no {left.bound}: {left.reason}"
        elif refusal is None and targets and verdict.cluster not in targets:
            text = "ok, but replicas that are well placed do not move" if outcome.strategy != DUPLICATED else "ok"
        rows.append({
            "cluster": verdict.cluster, "verdict": text, "score": sum(verdict.score_terms.values()),
            "scoreTerms": dict(verdict.score_terms), "free": verdict.estimate, "share": targets.get(verdict.cluster),
            "fix": [one.text for one in fixes.get(verdict.cluster, ())],
            "member": " ".join(filter(None, [line.get("health", ""), line.get("reason", ""), line.get("error", "")])),
        })  # fmt: skip
    return rows
