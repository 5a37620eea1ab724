"""`fedctl replay FILE...`: take every decision of a ledger again, in this process and from the ledger alone, and compare.

The same version gives the same decisions, bit for bit. Another version, or another policy (`--policy FILE`), shows exactly what it
would have decided otherwise.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import orjson
import yaml

from federation.api.meta import parse_lenient
from federation.api.placement import Placement
from federation.api.words import shares_text
from federation.cli.output import show
from federation.cli.session import Refused
from federation.hub.conditions import timestamp
from federation.hub.schedule.decide import decide
from federation.hub.schedule.ledger import answer_json
from federation.schedule.record import assumed_from, binding_from, canonical, cluster_from
from federation.schedule.snapshot import ClusterView

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """One decision that comes out otherwise."""

    at: float
    binding: str
    recorded: Json
    replayed: Json


def replay(files: Sequence[str], *, policies: Sequence[str], output: str) -> bool:
    """Print what differs; whether anything does. Raises Refused for a file that is no ledger."""
    placements = dict(_placement(file) for file in policies)
    total, found = 0, []
    for file in files:
        for entry, clusters in _entries(file):
            total += 1
            difference = compare(entry, clusters, placements)
            if difference is not None:
                found.append(difference)
    rows = [
        {"at": timestamp(one.at), "binding": one.binding, "recorded": one.recorded, "replayed": one.replayed}
        for one in found
    ]
    if not show({"decisions": total, "differences": rows}, output):
        for one in found:
            click.echo(
                f"{timestamp(one.at)} {one.binding}: {_short(one.recorded)} was decided, {_short(one.replayed)} now"
            )
        click.echo(f"{total} decisions replayed, {len(found)} differ")
    return bool(found)


def compare(entry: Json, clusters: Sequence[ClusterView], placements: dict[str, Placement]) -> Difference | None:
    """Take one decision again. `placements`: by policy, in place of the recorded one."""
    view = binding_from(entry["binding"])
    if entry["policy"] in placements:
        view = replace(view, placement=placements[entry["policy"]])
    answer = answer_json(decide(view, clusters, assumed_from(entry["assumed"]), suspended=entry["suspended"]))
    if canonical(answer) == canonical(entry["answer"]):
        return None
    return Difference(at=entry["at"], binding=view.key, recorded=entry["answer"], replayed=answer)


def _entries(file: str) -> Iterator[tuple[Json, list[ClusterView]]]:
    """The decisions of a file, each with its clusters. The last line may be half written: then it is left out."""
    known: dict[str, ClusterView] = {}
    try:
        lines = Path(file).read_bytes().split(b"\n")
    except OSError as error:
        raise Refused(f"{file}: {error.strerror}") from error
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            entry: Json = orjson.loads(line)
            if "cluster" in entry:
                known[entry["cluster"]] = cluster_from(entry["view"])
                continue
            clusters = [known[digest] for digest in entry["clusters"]]
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            if number == len(lines):
                return
            raise Refused(f"{file}, line {number}: this is no line of a ledger ({error!r})") from error
        yield entry, clusters


def _placement(file: str) -> tuple[str, Placement]:
    try:
        manifest = yaml.safe_load(Path(file).read_text())
        metadata = manifest["metadata"]
        place = f"{metadata['namespace']}/" if metadata.get("namespace") else ""
        return f"{manifest['kind']} {place}{metadata['name']}", parse_lenient(
            Placement, manifest["spec"].get("placement") or {}
        )
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise Refused(f"--policy {file}: it holds no policy: {error}") from error


def _short(answer: Json) -> str:
    if answer["decision"] is not None:
        return shares_text(answer["decision"]["targets"])
    return f"{answer['error'][1]}: {answer['error'][2]}" if answer["error"] else "nothing new"
