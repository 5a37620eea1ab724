"""The command `hack/clusters`."""

import json
import sys
from pathlib import Path

import click

from hack.lab import audit as audit_log
from hack.lab.binaries import DEFAULT_MINOR, NoBinaries, binaries, kubectl, kwok
from hack.lab.golang import NoGo
from hack.lab.judge import judge
from hack.lab.kind import KindSet
from hack.lab.local import NotReady
from hack.lab.places import say
from hack.lab.providers import CHOICE, PROVIDERS, cluster_set
from hack.lab.release import NotDownloaded
from hack.lab.sets import ClusterSet, NoSuchCluster

MIB = 1024 * 1024


@click.group()
@click.option("--set", "name", default="default", help="Name of the set; sets run side by side.")
@click.option(
    "--provider",
    type=click.Choice(PROVIDERS),
    default="auto",
    envvar=CHOICE,
    show_envvar=True,
    help="auto: kind where a Docker engine answers.",
)
@click.pass_context
def main(context: click.Context, name: str, provider: str) -> None:
    """Real Kubernetes clusters on this machine: a hub and its members."""
    context.obj = cluster_set(name, provider)


@main.command()
@click.option("--members", default=3, show_default=True, help="Number of members.")
@click.option("--nodes", default=3, show_default=True, help="Simulated nodes a member.")
@click.option("--audit", is_flag=True, help="Log every request, one file a cluster.")
@click.option("--kubernetes", "minor", default=DEFAULT_MINOR, show_default=True, help="Minor version.")
@click.option("--source", type=click.Choice(["auto", "release"]), default="auto", help="Where programs come from.")
@click.pass_obj
def up(clusters: ClusterSet | KindSet, *, members: int, nodes: int, audit: bool, minor: str, source: str) -> None:
    """Start the clusters; what runs already is left alone, what died is started again."""
    clusters.up(members=members, nodes=nodes, audit=audit, minor=minor, source=source)
    say(f"kubeconfig of the hub: {clusters.kubeconfig('hub')}")


@main.command()
@click.option("--kubernetes", "minor", default=DEFAULT_MINOR, show_default=True, help="Minor version.")
@click.pass_obj
def prepare(clusters: ClusterSet | KindSet, *, minor: str) -> None:
    """Build what up and the tests need, so that neither waits for it: about ten minutes the first time, then nothing."""
    if isinstance(clusters, ClusterSet):
        binaries(minor=minor)
    else:
        kubectl(minor=minor)
        kwok()
    judge()


@main.command()
@click.pass_obj
def down(clusters: ClusterSet | KindSet) -> None:
    """End the clusters and remove their data."""
    clusters.down()


@main.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def status(clusters: ClusterSet | KindSet, *, as_json: bool) -> None:
    """What runs, and its memory (proportional set size)."""
    found = {name: clusters.cluster(name).status() for name in clusters.names()}
    if as_json:
        click.echo(json.dumps(found))
        return
    for name, one in found.items():
        total = sum(process["pss"] for process in one["processes"].values()) / MIB
        parts = " ".join(
            f"{process} {entry['pss'] / MIB:.0f}" if entry["alive"] else f"{process} dead"
            for process, entry in one["processes"].items()
        )
        click.echo(f"{name:10} {'ready' if one['ready'] else 'down':6} {one['server']:26} {total:5.0f} MiB ({parts})")
    if not found:
        click.echo("no clusters; start them with: hack/clusters up")


@main.command()
@click.argument("cluster")
@click.pass_obj
def kubeconfig(clusters: ClusterSet | KindSet, cluster: str) -> None:
    """Print the path of a cluster's kubeconfig."""
    click.echo(clusters.kubeconfig(cluster))


@main.command()
@click.argument("cluster")
@click.pass_obj
def audit(clusters: ClusterSet | KindSet, cluster: str) -> None:
    """Print what a cluster answered, one line a request (needs up --audit)."""
    for request in audit_log.requests(clusters.cluster(cluster).audit_log):
        click.echo(f"{request.time} {request.user} {request}")


@main.command()
@click.argument("cluster")
@click.pass_obj
def stop(clusters: ClusterSet | KindSet, cluster: str) -> None:
    """End one cluster; its data stays."""
    clusters.stop(cluster)


@main.command()
@click.argument("cluster")
@click.pass_obj
def start(clusters: ClusterSet | KindSet, cluster: str) -> None:
    """Start a stopped cluster again."""
    clusters.start(cluster)


@main.command()
@click.argument("cluster")
@click.argument("file", type=click.Path(dir_okay=False, writable=True, path_type=Path))
@click.pass_obj
def snapshot(clusters: ClusterSet | KindSet, cluster: str, file: Path) -> None:
    """Keep what a cluster stores in a file, as a backup of etcd does; it is down meanwhile."""
    clusters.snapshot(cluster, file)
    say(f"{cluster} is kept in {file}")


@main.command()
@click.argument("cluster")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.pass_obj
def restore(clusters: ClusterSet | KindSet, cluster: str, file: Path) -> None:
    """Put a cluster back to a snapshot; everything since is forgotten."""
    clusters.restore(cluster, file)
    say(f"{cluster} is as it was in {file}")


def hoisted(words: list[str]) -> list[str]:
    """Options of every command, moved in front of it: `up --set x` means `--set x up`."""
    first: list[str] = []
    rest: list[str] = []
    queue = iter(words)
    for word in queue:
        if word in ("--set", "--provider"):
            first += [word, next(queue, "")]
        elif word.startswith(("--set=", "--provider=")):
            first.append(word)
        else:
            rest.append(word)
    return first + rest


if __name__ == "__main__":
    try:
        main(hoisted(sys.argv[1:]), prog_name="hack/clusters")
    except (NoBinaries, NoGo, NotReady, NoSuchCluster, NotDownloaded) as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
