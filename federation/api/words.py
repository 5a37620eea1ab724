"""Texts for people that many places print: the first of many, and shares by cluster. Pure."""

from collections.abc import Collection, Mapping

LISTED = 10
"""Names that a sentence lists."""


def first(entries: Collection[object], limit: int) -> list[str]:
    """The first `limit` entries as texts; where there are more, a last one says how many."""
    shown = [str(entry) for entry in entries][:limit]
    return [*shown, f"and {len(entries) - limit} more"] if len(entries) > limit else shown


def listed(names: Collection[object], limit: int = LISTED) -> str:
    """`a, b and 3 more`."""
    shown = ", ".join(str(name) for name in list(names)[:limit])
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown


def shares_text(shares: Mapping[str, int], *, nowhere: str = "nowhere") -> str:
    """`member1=2, member2=3`, by name."""
    return ", ".join(f"{name}={count}" for name, count in sorted(shares.items())) or nowhere
