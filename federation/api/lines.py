"""Machine-written status as one logfmt line: `key=value key="two words"`, parsed and printed only here.

Why text: an API server charges per tracked field of a custom resource, whichever field is written (python_stack 2.9).
Values with spaces, quotes, `=` or nothing in them are quoted; a backslash escapes a quote, a backslash and a newline.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

AWAY = frozenset({"Unreachable", "NotJoined"})
"""Reasons in a member's line with which its numbers are the last known ones, and nothing can be confirmed there."""
LINE_LIMIT = 512
"""Most UTF-8 bytes of one line."""

_CUT = " cut=true"
_PLAIN = re.compile(r'[^\s"\\=]+')
_PAIR = re.compile(r'([^\s"\\=]+)=("(?:[^"\\]|\\.)*"|[^\s"]*)', re.DOTALL)
_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}
_UNESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


def print_line(fields: Mapping[str, str]) -> str:
    """The line, in the order of `fields`, within LINE_LIMIT; what does not fit is left out and `cut=true` says so.

    The last field that fits in part is cut inside its value, never inside a character.
    """
    parts: list[str] = []
    size = 0
    for key, value in fields.items():
        part = f"{key}={_quote(value)}"
        length = len(part.encode()) + (1 if parts else 0)
        if size + length > LINE_LIMIT - len(_CUT):
            if _fits(fields):
                parts.append(part)
                size += length
                continue
            shortened = _shorten(key, value, LINE_LIMIT - len(_CUT) - size - (1 if parts else 0))
            return " ".join([*parts, *shortened]) + (_CUT if parts or shortened else _CUT[1:])
        parts.append(part)
        size += length
    return " ".join(parts)


def parse_line(text: str) -> dict[str, str]:
    """The fields of a line; what is not `key=value` is skipped."""
    return {match[1]: _unquote(match[2]) for match in _PAIR.finditer(text)}


def _fits(fields: Mapping[str, str]) -> bool:
    total = sum(len(f"{key}={_quote(value)}".encode()) + 1 for key, value in fields.items())
    return total - 1 <= LINE_LIMIT


def _shorten(key: str, value: str, room: int) -> list[str]:
    while value:
        value = value[: max(0, min(len(value) - 1, room))]
        part = f"{key}={_quote(value)}"
        if value and len(part.encode()) <= room:
            return [part]
    return []


def _quote(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    return '"' + "".join(_ESCAPES.get(char, char) for char in value) + '"'


def _unquote(text: str) -> str:
    if not text.startswith('"'):
        return text
    return re.sub(r"\\(.)", lambda match: _UNESCAPES.get(match[1], match[1]), text[1:-1], flags=re.DOTALL)


class Moment(NamedTuple):
    """A place in the hub's own history (decision 0005); a later one is greater.

    `incarnation` counts the times that a human resumed a hub that had gone back; `revision` is the resourceVersion of the
    newest federation Lease that the writer knew.
    """

    incarnation: int
    revision: int

    def __str__(self) -> str:
        return f"{self.incarnation}.{self.revision}"


def parse_moment(text: str) -> Moment | None:
    """`1.48213`; None for anything else."""
    incarnation, dot, revision = text.partition(".")
    if not (dot and incarnation.isdigit() and revision.isdigit()):
        return None
    return Moment(int(incarnation), int(revision))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What a member object says about us (DESIGN section 2): hub, binding, template, epoch of our last write, hash."""

    hub: str
    binding: str
    """namespace/name of the binding; the namespace is empty for a cluster-scoped one."""
    template_uid: str
    epoch: int
    hash: str
    at: Moment | None = None
    """When it was written, in the hub's history; None in a mark of an older version, which is never ahead of the hub."""


def print_mark(mark: Mark) -> str:
    """The value of the mark annotation."""
    fields = {
        "hub": mark.hub, "binding": mark.binding, "template": mark.template_uid, "epoch": str(mark.epoch), "hash": mark.hash,
    }  # fmt: skip
    return print_line({**fields, "at": str(mark.at)} if mark.at is not None else fields)


def parse_mark(text: str) -> Mark | None:
    """The mark of an annotation value; None for anything that is not one of ours."""
    fields = parse_line(text)
    try:
        return Mark(
            hub=fields["hub"],
            binding=fields["binding"],
            template_uid=fields["template"],
            epoch=int(fields["epoch"]),
            hash=fields["hash"],
            at=parse_moment(fields.get("at", "")),
        )
    except (KeyError, ValueError):
        return None
