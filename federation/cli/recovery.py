"""Options and wiring of the commands for a hub that was lost, restored or given up."""

import click

from federation.cli import hub as hub_commands
from federation.cli.orphans import orphans as list_orphans
from federation.cli.session import Options, closing, connect, hub_options, output_option, run
from federation.cli.uninstall import uninstall as take_away

yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


@click.group()
def hub() -> None:
    """Who the hub is, and whether it went back in time."""


@hub.command()
@output_option
@hub_options
@run
async def status(options: Options, *, output: str) -> None:
    """Identity, incarnation, and whether members show what the hub does not remember."""
    client = connect(options)
    await closing(client, hub_commands.status(client, output))


@hub.command()
@yes_option
@hub_options
@run
async def resume(options: Options, *, yes: bool) -> None:
    """Let a hub that went back in time have its way again, after a look at what it forgot."""
    client = connect(options)
    await closing(client, hub_commands.resume(client, yes=yes))


@hub.command()
@click.argument("identity", required=False)
@hub_options
@run
async def identity(options: Options, *, identity: str | None) -> None:
    """Print the hub's identity; with an argument, give a rebuilt hub that of the old one."""
    client = connect(options)
    await closing(client, hub_commands.identity(client, identity))


@click.command()
@click.option("--delete", is_flag=True, help="Delete them in the members, after a question.")
@click.option("--cluster", help="One member only.")
@yes_option
@output_option
@hub_options
@run
async def orphans(options: Options, *, delete: bool, cluster: str | None, yes: bool, output: str) -> None:
    """Objects in the members that no binding leads to, and why they stay."""
    client = connect(options)
    await closing(client, list_orphans(client, cluster=cluster, delete=delete, yes=yes, output=output))


@click.command()
@click.option("--keep", is_flag=True, help="Leave every workload where it runs, without our marks.")
@yes_option
@hub_options
@run
async def uninstall(options: Options, *, keep: bool, yes: bool) -> None:
    """Take the federation away."""
    client = connect(options)
    await closing(client, take_away(client, keep=keep, yes=yes))
