"""Conditions of an aggregated status: times move only when the status does, so an equal status is written once."""

from collections.abc import Mapping

from federation.api.meta import Manifest

Members = Mapping[str, Mapping[str, str]]


def condition(
    template: Manifest, kind: str, *, status: str, reason: str, message: str, now: str, updated: str = ""
) -> Manifest:
    """A condition for the template. `updated` names a second time field that kinds like Deployment carry."""
    old: Manifest = next(
        (one for one in (template.get("status") or {}).get("conditions") or () if one.get("type") == kind), {}
    )
    since = old.get("lastTransitionTime") if old.get("status") == status else None
    entry = {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": since or now}
    if updated:
        same = old.get("status") == status and old.get("reason") == reason and old.get("message") == message
        entry[updated] = (old.get(updated) if same else None) or now
    return entry


def shown(facts: Mapping[str, str], kind: str) -> tuple[str, str]:
    """(status, reason) of a condition in a member's facts; ("Unknown", "") where it has none."""
    text = facts.get(f"cond.{kind}")
    if text is None:
        return "Unknown", ""
    status, _, reason = text.partition("/")
    return status, reason


def merged(template: Manifest, kind: str, members: Members, *, now: str) -> Manifest | None:
    """One condition for all members: True only if all say so, else the first other answer, named by its cluster.

    None if no member has it.
    """
    answers = {name: shown(facts, kind) for name, facts in members.items() if f"cond.{kind}" in facts}
    if not answers:
        return None
    for wanted in ("False", "Unknown"):
        names = [name for name, (status, _) in answers.items() if status == wanted]
        if names:
            reason = answers[names[0]][1] or wanted
            return condition(
                template, kind, status=wanted, reason=reason, message=f"in {', '.join(names[:10])}", now=now
            )
    reason = next(iter(answers.values()))[1] or "True"
    return condition(template, kind, status="True", reason=reason, message=f"in all {len(answers)} clusters", now=now)
