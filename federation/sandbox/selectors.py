"""Label and field selectors of list and watch requests."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from federation.api.meta import Manifest
from federation.sandbox.kinds import Kind
from federation.sandbox.refusals import bad_request

Test = Callable[[Manifest], bool]

_SET_BASED = re.compile(r"^(?P<key>\S+)\s+(?P<operator>in|notin)\s*\((?P<values>[^)]*)\)$")
_EQUALITY = re.compile(r"^(?P<key>[^\s=!]+)\s*(?P<operator>==|=|!=)\s*(?P<value>[^\s=!]*)$")
_PRESENCE = re.compile(r"^(?P<absent>!?)\s*(?P<key>[^\s=!,()]+)$")


def selecting(kind: Kind, query: Mapping[str, str]) -> Test:
    """Whether an object is selected by the query of a request. Raises 400 for selectors that mean nothing."""
    tests = [_label_test(term) for term in _terms(query.get("labelSelector", ""))]
    tests += [_field_test(kind, term) for term in _terms(query.get("fieldSelector", ""))]
    return lambda manifest: all(test(manifest) for test in tests)


def _terms(selector: str) -> list[str]:
    return [term.strip() for term in re.split(r",(?![^(]*\))", selector) if term.strip()]


def _label_test(term: str) -> Test:
    if found := _SET_BASED.match(term):
        values = {value.strip() for value in found["values"].split(",")}
        return _label_in(found["key"], values, wanted=found["operator"] == "in")
    if found := _EQUALITY.match(term):
        return _label_in(found["key"], {found["value"]}, wanted=found["operator"] != "!=")
    if found := _PRESENCE.match(term):
        key, absent = found["key"], bool(found["absent"])
        return lambda manifest: (key in _labels(manifest)) != absent
    raise bad_request(f"unable to parse requirement: {term!r}")


def _label_in(key: str, values: set[str], *, wanted: bool) -> Test:
    """A missing label is in no set: `key notin (...)` and `key!=...` select objects without it."""
    return lambda manifest: (_labels(manifest).get(key) in values) == wanted


def _labels(manifest: Manifest) -> dict[str, str]:
    return manifest["metadata"].get("labels") or {}


def _field_test(kind: Kind, term: str) -> Test:
    found = _EQUALITY.match(term)
    if not found:
        raise bad_request(f"invalid field selector: {term!r}")
    field, value = found["key"], found["value"]
    known = ["metadata.name", *(["metadata.namespace"] if kind.namespaced else []), *kind.selectable]
    if field not in known:
        names = ", ".join(f'"{name}"' for name in known)
        raise bad_request(f'"{field}" is not a known field selector: only {names}')
    wanted = found["operator"] != "!="
    return lambda manifest: (_text(manifest, field) == value) == wanted


def _text(manifest: Manifest, field: str) -> str:
    place: Any = manifest
    if field == "status.successful":
        field = "status.succeeded"
    if field == "source":
        field = "source.component"
    for name in field.split("."):
        place = place.get(name) if isinstance(place, dict) else None
    if place is None:
        return "false" if field == "spec.unschedulable" else ""
    return str(place).lower() if isinstance(place, bool) else str(place)
