"""The command line: options and wiring only; what a command does is in the module of its name."""

import sys
from importlib.metadata import version as package_version

import click

from federation.cli import clusters as cluster_commands
from federation.cli.approve import approve as approve_plan
from federation.cli.explain import explain as explain_template
from federation.cli.get import get_application, get_bindings, get_clusters
from federation.cli.held import get_held
from federation.cli.pin import pin as pin_shares
from federation.cli.pin import seconds_of, shares_of
from federation.cli.plan import FORMATS as PLAN_FORMATS
from federation.cli.plan import plan as make_plan
from federation.cli.plan import snapshot as take_snapshot
from federation.cli.rebalance import rebalance as ask_rebalance
from federation.cli.recovery import hub as hub_group
from federation.cli.recovery import orphans, uninstall
from federation.cli.render import render_for
from federation.cli.replay import replay as replay_ledger
from federation.cli.session import (
    Options,
    Refused,
    closing,
    connect,
    default_namespace,
    hub_options,
    namespace_option,
    output_option,
    run,
)
from federation.cli.what_if import what_if as tell_what_if
from federation.cli.why_not import why_not as tell_why_not
from federation.hub.settings import Settings
from federation.kube.credentials import Credentials

member_kubeconfig = click.option(
    "--kubeconfig",
    "member_file",
    required=True,
    type=click.Path(dir_okay=False),
    help="Administrator's kubeconfig of the member.",
)
member_context = click.option("--context", "member_context", help="Context of the member's kubeconfig.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--kubeconfig", type=click.Path(dir_okay=False), help="Kubeconfig of the hub; default: as kubectl.")
@click.option("--context", help="Context of the hub's kubeconfig.")
@click.pass_context
def main(context_: click.Context, kubeconfig: str | None, context: str | None) -> None:
    """Federation for Kubernetes: where things run, and why."""
    context_.obj = Options(kubeconfig, context)


main.add_command(hub_group)
main.add_command(orphans)
main.add_command(uninstall)


@main.command()
@click.argument("name")
@member_kubeconfig
@member_context
@click.option("--region", help="Region of the member.")
@click.option("--zone", "zones", multiple=True, help="Zone of the member; may be repeated.")
@click.option("--provider", help="Cloud provider of the member.")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="Label of the Cluster; may be repeated.")
@click.option("--allow", "allow", multiple=True, metavar="KIND", help="One more kind that the hub may write there.")
@click.option("--renew", is_flag=True, help="Only make a fresh token for a member that joined.")
@click.option("--wait", default=60.0, show_default=True, help="Seconds to wait until it is ready.")
@click.pass_obj
@run
async def join(
    options: Options, name: str, *, member_file: str, member_context: str | None, region: str | None, zones: tuple[str, ...],
    provider: str | None, labels: tuple[str, ...], allow: tuple[str, ...], renew: bool, wait: float,
) -> None:  # fmt: skip
    """Join a member cluster: fedctl join eu1 --kubeconfig eu1.yaml --region eu."""
    place = cluster_commands.Place(
        region=region, zones=zones, provider=provider, labels=dict(_pair(one) for one in labels)
    )
    admin = Credentials.from_kubeconfig(member_file, member_context)
    hub = connect(options)
    await closing(hub, cluster_commands.join(hub, name, admin, place=place, allow_kinds=allow, renew=renew, wait=wait))


@main.command()
@click.argument("name")
@click.argument("kinds", nargs=-1, required=True)
@member_kubeconfig
@member_context
@click.pass_obj
@run
async def allow(
    options: Options, name: str, kinds: tuple[str, ...], *, member_file: str, member_context: str | None
) -> None:
    """Let the hub write more kinds in a member: fedctl allow eu1 widgets.example.com --kubeconfig eu1.yaml."""
    hub = connect(options)
    admin = Credentials.from_kubeconfig(member_file, member_context)
    await closing(hub, cluster_commands.allow_kinds(hub, name, admin, kinds))


@main.command()
@click.argument("name")
@click.option("--keep", is_flag=True, help="Leave the copies there, without our marks.")
@click.option("--force", is_flag=True, help="Do not wait for a member that is dead; prints what is left there.")
@click.option("--wait", default=120.0, show_default=True, help="Seconds to wait until it has left.")
@hub_options
@run
async def leave(options: Options, name: str, *, keep: bool, force: bool, wait: float) -> None:
    """Take a member out of the federation."""
    if keep and force:
        raise click.UsageError("--keep and --force exclude each other")
    mode = "keep" if keep else "force" if force else "remove"
    hub = connect(options)
    await closing(hub, cluster_commands.leave(hub, name, mode=mode, wait=wait))


@main.command()
@click.argument("what")
@namespace_option
@click.option("-A", "--all-namespaces", is_flag=True, help="Bindings of every namespace.")
@output_option
@hub_options
@run
async def get(options: Options, what: str, *, namespace: str | None, all_namespaces: bool, output: str) -> None:
    """Show clusters, bindings, held changes, or where KIND/NAME runs."""
    hub = connect(options)
    place = namespace or default_namespace(options)
    if what in ("clusters", "cluster", "fc"):
        await closing(hub, get_clusters(hub, output))
    elif what in ("bindings", "binding", "rb"):
        await closing(hub, get_bindings(hub, None if all_namespaces else place, output))
    elif what == "held":
        await closing(hub, get_held(hub, output))
    elif "/" in what:
        await closing(hub, get_application(hub, what, place, output))
    else:
        await hub.close()
        raise Refused(f"{what!r} is not clusters, bindings, held or KIND/NAME")


@main.command()
@click.argument("plan", metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask.")
@hub_options
@run
async def approve(options: Options, plan: str, *, yes: bool) -> None:
    """Let the held changes of one plan go: fedctl get held lists them."""
    hub = connect(options)
    await closing(hub, approve_plan(hub, plan, yes=yes))


@main.command()
@click.argument("what", metavar="KIND/NAME")
@namespace_option
@output_option
@hub_options
@run
async def explain(options: Options, what: str, *, namespace: str | None, output: str) -> None:
    """Why here, why not there: policy, verdict of each cluster, shares."""
    hub = connect(options)
    await closing(hub, explain_template(hub, what, namespace or default_namespace(options), output))


@main.command(name="what-if")
@click.option("--without", multiple=True, metavar="CLUSTER", help="A cluster that is not there any more; repeatable.")
@click.option(
    "--with-cluster", multiple=True, metavar="FILE", help="A Cluster more, or another version of one; repeatable."
)
@click.option("-n", "--namespace", help="Only what is in this namespace; default: everything.")
@output_option
@hub_options
@run
async def what_if(
    options: Options, *, without: tuple[str, ...], with_cluster: tuple[str, ...], namespace: str | None, output: str
) -> None:
    """Where everything would go on other clusters: fedctl what-if --without member2. Nothing is written."""
    if not without and not with_cluster:
        raise click.UsageError("say what would be different: --without CLUSTER, --with-cluster FILE")
    hub = connect(options)
    asked = tell_what_if(hub, without=without, with_cluster=with_cluster, namespace=namespace, output=output)
    if await closing(hub, asked):
        sys.exit(1)


@main.command(name="why-not")
@click.argument("cluster")
@click.argument("what", metavar="KIND/NAME")
@namespace_option
@output_option
@hub_options
@run
async def why_not(options: Options, cluster: str, what: str, *, namespace: str | None, output: str) -> None:
    """Why a cluster does not have a workload, and what would change that: fedctl why-not member2 deploy/web."""
    hub = connect(options)
    place = namespace or default_namespace(options)
    if await closing(hub, tell_why_not(hub, cluster, what, place, output)):
        sys.exit(1)


@main.command()
@click.argument("what", metavar="KIND/NAME")
@click.option("--cluster", required=True, help="The member.")
@click.option("--diff", "with_diff", is_flag=True, help="What differs in the member; exit code 1 if something does.")
@namespace_option
@output_option
@hub_options
@run
async def render(
    options: Options, what: str, *, cluster: str, with_diff: bool, namespace: str | None, output: str
) -> None:
    """The object as a member gets it."""
    hub = connect(options)
    place = namespace or default_namespace(options)
    if await closing(hub, render_for(hub, what, place, cluster=cluster, with_diff=with_diff, output=output)):
        sys.exit(1)


@main.command()
@click.argument("what", metavar="KIND/NAME")
@click.argument("shares", nargs=-1, metavar="[CLUSTER=REPLICAS]...")
@click.option("--for", "lasts", metavar="DURATION", help="How long, as 30m or 2h; without it until --clear.")
@click.option("--clear", is_flag=True, help="Take the pinned shares back.")
@namespace_option
@hub_options
@run
async def pin(
    options: Options, what: str, shares: tuple[str, ...], *, lasts: str | None, clear: bool, namespace: str | None
) -> None:
    """Set shares by hand: fedctl pin deploy/web m1=3 --for 2h."""
    if clear == bool(shares):
        raise click.UsageError("name shares as m1=3, or --clear")
    chosen, seconds = shares_of(shares), seconds_of(lasts) if lasts else None
    hub = connect(options)
    place = namespace or default_namespace(options)
    await closing(hub, pin_shares(hub, what, place, shares=chosen, lasts=seconds))


@main.command()
@click.argument("what", metavar="KIND/NAME...", nargs=-1, required=True)
@click.option("--for", "lives", default=3600, show_default=True, help="Seconds that the Rebalance stays once finished.")
@click.option("--wait", "patience", default=30.0, show_default=True, help="Seconds to wait for the answer.")
@namespace_option
@output_option
@hub_options
@run
async def rebalance(
    options: Options, what: tuple[str, ...], *, lives: int, patience: float, namespace: str | None, output: str
) -> None:
    """Schedule workloads as if nothing were placed: fedctl rebalance deploy/web."""
    hub = connect(options)
    place = namespace or default_namespace(options)
    if not await closing(hub, ask_rebalance(hub, what, place, lives=lives, patience=patience, output=output)):
        sys.exit(1)


@main.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(dir_okay=False))
@click.option("--policy", "policies", multiple=True, metavar="FILE", help="Decide by this policy instead; repeatable.")
@output_option
@run
async def replay(*, files: tuple[str, ...], policies: tuple[str, ...], output: str) -> None:
    """Take the decisions of a ledger again and compare; no cluster is asked. Exit code 1 if one differs."""
    if replay_ledger(files, policies=policies, output=output):
        sys.exit(1)


@main.command()
@click.option(
    "-f",
    "--filename",
    "files",
    multiple=True,
    required=True,
    metavar="PATH",
    help="What would be applied: a file, a directory, or -.",
)
@click.option("--was", multiple=True, metavar="PATH", help="What lay there before: what is gone since is deleted.")
@click.option("--snapshot", "snapshot_file", default="", metavar="FILE", help="Plan on this instead of the hub itself.")
@click.option("--brake-objects", default=5, show_default=True, help="As of federation hub.")
@click.option("--brake-percent", default=10.0, show_default=True, help="As of federation hub.")
@click.option(
    "-o",
    "--output",
    "output",
    type=click.Choice(PLAN_FORMATS),
    default="table",
    show_default=True,
    help="Form of the answer.",
)
@namespace_option
@hub_options
@run
async def plan(
    options: Options, *, files: tuple[str, ...], was: tuple[str, ...], snapshot_file: str, brake_objects: int,
    brake_percent: float, output: str, namespace: str | None,
) -> None:  # fmt: skip
    """What a change would do, in every cluster: fedctl plan -f DIR. Nothing is written."""
    place = namespace or ("default" if snapshot_file else default_namespace(options))
    settings = Settings(brake_objects=brake_objects, brake_percent=brake_percent)
    code = await make_plan(
        options, files=files, was=was, snapshot_file=snapshot_file, namespace=place, settings=settings, output=output
    )
    sys.exit(code)


@main.command()
@click.option("-o", "--output", "file", required=True, metavar="FILE", help="Compressed where it ends in .gz.")
@hub_options
@run
async def snapshot(options: Options, *, file: str) -> None:
    """Write what decides placement to a file, for fedctl plan --snapshot; the contents of Secrets are left out."""
    await take_snapshot(options, file)


@main.command()
def version() -> None:
    """Print the version."""
    click.echo(package_version("federation"))


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise click.UsageError(f"--label {text!r}: write KEY=VALUE")
    return key, value
