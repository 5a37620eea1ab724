"""One command's connection to the hub: credentials as kubectl finds them, one event loop, errors as exit codes.

Exit codes: 0 done, 1 the answer is no (or, for `render --diff`, it differs), 2 wrong usage, 3 the hub or a member refused.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import update_wrapper, wraps
from typing import Any, ParamSpec, TypeVar

import click

from federation.api.meta import Manifest
from federation.cli.output import FORMATS
from federation.kube.client import Client
from federation.kube.credentials import Credentials, CredentialsError
from federation.kube.errors import ApiError, NotFound
from federation.kube.resource import CLUSTERS, SECRETS
from federation.kube.transport import AioTransport
from federation.operator.join import JoinRefused
from federation.operator.lifecycle import credentials_of
from federation.operator.rights import UnknownKind

P = ParamSpec("P")
T = TypeVar("T")


class Refused(Exception):
    """The answer is no; the message says why and what to do."""


@dataclass(slots=True)
class Options:
    """Where the hub is, as given on the command line."""

    kubeconfig: str | None = None
    context: str | None = None


def connect(options: Options) -> Client:
    """A client of the hub. Raises CredentialsError."""
    return Client(AioTransport(Credentials.from_kubeconfig(options.kubeconfig, options.context)), name="hub")


def default_namespace(options: Options) -> str:
    """The namespace of the kubeconfig's context, else `default`, as kubectl has it."""
    return Credentials.namespace_of(options.kubeconfig, options.context) or "default"


async def member_client(hub: Client, name: str) -> Client:
    """A client of a member with the hub's own token for it. Raises NotFound, CredentialsError."""
    cluster = await hub.get(CLUSTERS, name)
    reference = cluster["spec"].get("secretRef") or {}
    secret: Manifest = await hub.get(SECRETS, reference.get("name") or "", reference.get("namespace"))
    return Client(AioTransport(credentials_of(cluster, secret)), name=name)


def run(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Run an async command; known errors become one line on standard error and an exit code."""

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return asyncio.run(function(*args, **kwargs))
        except (Refused, JoinRefused, UnknownKind, CredentialsError) as error:
            click.echo(f"error: {error}", err=True)
            sys.exit(1)
        except NotFound as error:
            click.echo(f"error: {error.message}", err=True)
            sys.exit(1)
        except ApiError as error:
            click.echo(f"error: {error}", err=True)
            sys.exit(3)

    return wrapper


async def closing(client: Client, work: Awaitable[T]) -> T:
    """Await `work`, then close the client."""
    try:
        return await work
    finally:
        await client.close()


def hub_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--kubeconfig` and `--context` of the hub on a subcommand, besides those of `fedctl` itself."""

    @click.option("--kubeconfig", "own_kubeconfig", type=click.Path(dir_okay=False), help="Kubeconfig of the hub.")
    @click.option("--context", "own_context", help="Context of that kubeconfig.")
    @click.pass_obj
    def wrapper(
        options: Options, /, *args: Any, own_kubeconfig: str | None, own_context: str | None, **kwargs: Any
    ) -> Any:
        merged = Options(own_kubeconfig or options.kubeconfig, own_context or options.context)
        return function(merged, *args, **kwargs)

    return update_wrapper(wrapper, function)


output_option = click.option(
    "-o",
    "--output",
    "output",
    type=click.Choice(FORMATS),
    default="table",
    show_default=True,
    help="Form of the answer.",
)
namespace_option = click.option("-n", "--namespace", help="Namespace; default: that of the context.")
