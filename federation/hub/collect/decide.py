"""The template's own status from what the binding says of its members. Pure.

`observedGeneration` moves only when every target runs the current generation and said so (I13).
"""

from typing import Any

from federation.api.lines import parse_line
from federation.api.meta import Manifest
from federation.hub.views import decision_of, is_divided
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
    known = decision_of(binding)
    divided = known is not None and is_divided(known)
    result = aggregate(template, members, caught_up=caught_up, now=now, divided=divided)
    if result is None or _meaning(result) == _meaning(template.get("status") or {}):
        return None
    return result


def _meaning(value: Any) -> Any:
    """A status without zeros and empty fields: API servers drop some of them and write others."""
    if isinstance(value, dict):
        parts = ((key, _meaning(item)) for key, item in value.items())
        return {key: item for key, item in parts if item not in (None, 0, "", [], {})}
    if isinstance(value, list):
        return [_meaning(item) for item in value]
    return value


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
