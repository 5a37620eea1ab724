"""`fedctl plan -f DIR` and `fedctl snapshot -o FILE`: what a change would do, before anybody makes it. Nothing is written.

Exit codes of `plan`: 0 nothing changes, 1 something does, 2 what was given cannot be applied, 4 something needs a look first: the
brake would hold a part of it, or a workload meets a problem.
"""

import logging
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import click

from federation.cli.output import show
from federation.cli.plan_text import as_json, as_markdown, as_text
from federation.cli.session import Options, Refused, closing, connect, member_client
from federation.hub.settings import Settings
from federation.plan.manifests import Given, Key, ManifestError, key_of
from federation.plan.manifests import read as read_manifests
from federation.plan.outcome import Plan
from federation.plan.reading import take
from federation.plan.rehearse import rehearse
from federation.plan.snapshot import Snapshot, SnapshotError
from federation.plan.snapshot import read as read_snapshot
from federation.plan.snapshot import write as write_snapshot
from federation.plan.world import Unsettled

FORMATS = ("table", "json", "yaml", "markdown")


async def snapshot(options: Options, file: str) -> None:
    """Write the hub to a file, without the contents of Secrets."""
    found = await _taken(options)
    try:
        write_snapshot(found, Path(file))
    except OSError as error:
        raise Refused(f"{file}: {error.strerror}") from error
    for one in found.unread:
        click.echo(f"not read: {one}", err=True)
    click.echo(f"{file}: {len(found.objects)} objects; the contents of Secrets are left out")


async def plan(
    options: Options, *, files: tuple[str, ...], was: tuple[str, ...], snapshot_file: str, namespace: str,
    settings: Settings, output: str,
) -> int:  # fmt: skip
    """Print the plan; the exit code. `was`: what lay there before, so that what is gone since is deleted."""
    # What the rehearsing controllers say is about sandboxes.
    logging.getLogger("federation").setLevel(logging.CRITICAL)
    try:
        given, gone = _given(files, was, namespace)
        found = read_snapshot(Path(snapshot_file)) if snapshot_file else await _taken(options)
        answer = await rehearse(found, apply=given.objects, delete=gone, namespace=namespace, settings=settings)
    except (ManifestError, SnapshotError) as error:
        raise click.UsageError(str(error)) from error
    except Unsettled as error:
        raise Refused(f"no plan: {error}") from error
    answer = replace(answer, notes=(*given.notes, *answer.notes))
    _print(answer, output)
    return 4 if answer.stopped else 0 if answer.empty else 1


def _given(files: tuple[str, ...], was: tuple[str, ...], namespace: str) -> tuple[Given, list[Key]]:
    text = sys.stdin.read() if "-" in (*files, *was) else ""
    given = read_manifests(files, standard_input=text)
    if not was:
        return given, []
    kept = {key_of(one, namespace) for one in given.objects}
    before = read_manifests(was, standard_input=text)
    return given, [key for one in before.objects if (key := key_of(one, namespace)) not in kept]


def _print(answer: Plan, output: str) -> None:
    if output == "markdown":
        click.echo(as_markdown(answer))
    elif not show(as_json(answer), output):
        click.echo(as_text(answer))


async def _taken(options: Options) -> Snapshot:
    hub = connect(options)
    return await closing(hub, take(hub, member=partial(member_client, hub)))
