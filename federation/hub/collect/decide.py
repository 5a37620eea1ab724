"""The template's own status from what the binding says of its members. Pure.

`observedGeneration` moves only when every target runs the current generation and said so (I13).
"""

from federation.api.lines import parse_line
from federation.api.meta import Manifest
from federation.interpret import aggregate

_EXECUTE_KEYS = frozenset({"for", "epoch", "hash", "uid", "kept", "reason", "error", "stale", "cut"})


def plan(template: Manifest, binding: Manifest, *, now: str) -> Manifest | None:
    """The status to store on the template, or None where there is nothing to say (or nothing new)."""
    status = binding.get("status") or {}
    decision = status.get("decision")
    if not decision:
        return None
    lines = {name: parse_line(text) for name, text in (status.get("members") or {}).items()}
    targets = decision.get("targets") or {}
    if not lines:
        return None
    members = {
        name: _facts(lines[name]) if name in lines and _has_facts(lines[name]) else None
        for name in sorted({*targets, *lines})
    }
    generation = template["metadata"].get("generation") or 0
    caught_up = bool(targets) and all(
        _caught_up(lines.get(name), epoch=decision["epoch"], generation=generation) for name in targets
    )
    result = aggregate(template, members, caught_up=caught_up, now=now)
    if result is None or result == (template.get("status") or {}):
        return None
    return result


def _facts(line: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in line.items() if key not in _EXECUTE_KEYS}


def _has_facts(line: dict[str, str]) -> bool:
    return "health" in line


def _caught_up(line: dict[str, str] | None, *, epoch: int, generation: int) -> bool:
    """Whether a member runs this generation of the template by this decision, and its controllers have seen it."""
    if line is None or line.get("reason") or line.get("epoch") != str(epoch) or line.get("for") != str(generation):
        return False
    observed, _, wanted = line.get("generation", "").partition("/")
    return observed == wanted
