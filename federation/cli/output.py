"""Tables for people, JSON and YAML for programs. Colours only on a terminal."""

import json
from collections.abc import Sequence
from typing import Any

import click
import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

FORMATS = ("table", "json", "yaml")
_GOOD = frozenset({"True", "Healthy", "yes", "ok"})
_BAD = frozenset({"False", "Unhealthy", "no"})


def show(data: Any, output: str) -> bool:
    """Print `data` as JSON or YAML; False when a table is wanted, which is the caller's to draw."""
    if output == "json":
        click.echo(json.dumps(data, indent=2, sort_keys=False))
    elif output == "yaml":
        click.echo(yaml.safe_dump(data, sort_keys=False), nl=False)
    else:
        return False
    return True


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table without borders, as kubectl draws them."""
    drawn = Table(box=None, pad_edge=False, show_edge=False, header_style="bold")
    for column in columns:
        drawn.add_column(column, no_wrap=True)
    for row in rows:
        drawn.add_row(*(_cell(value) for value in row))
    console().print(drawn)


def console() -> Console:
    """Standard output; never cut where it is not a terminal."""
    out = Console(highlight=False, soft_wrap=True)
    return out if out.is_terminal else Console(highlight=False, soft_wrap=True, width=500)


def _cell(value: object) -> Text:
    text = "-" if value in (None, "") else str(value)
    first = text.split(" ", maxsplit=1)[0]
    style = "green" if first in _GOOD else "red" if first in _BAD else ""
    return Text(text, style=style)
