"""Who we are at an API server: endpoint, TLS, and the header of each request.

kubernetes_asyncio reads kubeconfigs (exec plugins, OIDC, in-cluster); inline certificates are loaded here, because the
library leaves files and descriptors behind (python_stack 2.4). Tokens are read per request, so rotation is instant.
"""

import asyncio
import base64
import binascii
import copy
import os
import re
import ssl
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Self

import yaml
from kubernetes_asyncio.config.kube_config import KubeConfigLoader

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_BEARER = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""What a bearer token is made of (RFC 6750, section 2.1)."""


class CredentialsError(Exception):
    """Credentials that cannot be used; the message names file, context or field."""


class Credentials:
    """Endpoint, TLS context and authorization of one API server. Its repr hides every secret."""

    def __init__(
        self,
        *,
        endpoint: str,
        ssl_context: ssl.SSLContext | None,
        authorization: str = "",
        proxy_url: str | None = None,
        renew: Callable[[], Awaitable[str]] | None = None,
        ca_pem: bytes | None = None,
        insecure: bool = False,
    ) -> None:
        self.endpoint = endpoint
        self.ssl_context = ssl_context
        self.proxy_url = proxy_url
        self.ca_pem = ca_pem
        self.insecure = insecure
        self.version = 0
        """Grows with every change of the authorization; tells whether a refresh has happened meanwhile."""
        self._authorization = authorization
        self._renew = renew
        self._lock = asyncio.Lock()

    def __repr__(self) -> str:
        return f"Credentials(endpoint={self.endpoint!r})"

    def for_other_loop(self) -> Self:
        """The same credentials for another event loop: a lock belongs to the loop that first waited on it."""
        twin = copy.copy(self)
        twin._lock = asyncio.Lock()  # noqa: SLF001 - of the same class
        return twin

    def headers(self) -> dict[str, str]:
        """Headers of a request."""
        return {"Authorization": self._authorization} if self._authorization else {}

    def set_token(self, token: str) -> None:
        """Use another bearer token from the next request on."""
        authorization = f"Bearer {token}"
        if token and authorization != self._authorization:
            self._authorization = authorization
            self.version += 1

    async def refresh(self, used: int) -> bool:
        """Renew after a 401 for version `used`; True when the authorization is another one now. Single-flight."""
        async with self._lock:
            if self.version != used:
                return True
            if self._renew is None:
                return False
            authorization = await self._renew()
            if not authorization or authorization == self._authorization:
                return False
            self._authorization = authorization
            self.version += 1
            return True

    @classmethod
    def from_token(
        cls, endpoint: str, token: str, ca_pem: bytes | None, *, insecure: bool = False, proxy_url: str | None = None
    ) -> Self:
        """A bearer token and the certificates to trust. Raises CredentialsError for an unusable certificate."""
        context = _context(endpoint, ca_pem, insecure=insecure)
        return cls(
            endpoint=endpoint, ssl_context=context, authorization=f"Bearer {token}" if token else "", proxy_url=proxy_url,
            ca_pem=ca_pem,
        )  # fmt: skip

    @classmethod
    def in_cluster(cls) -> Self:
        """The service account of the pod that this process runs in; its token file is read again after a 401."""
        host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
        token_file, ca_file = SERVICE_ACCOUNT / "token", SERVICE_ACCOUNT / "ca.crt"
        if not host or not token_file.exists():
            raise CredentialsError(f"not in a cluster: KUBERNETES_SERVICE_HOST or {token_file} is missing")

        endpoint = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
        ca_pem = ca_file.read_bytes()
        return cls(
            endpoint=endpoint, ssl_context=_context(endpoint, ca_pem, insecure=False),
            authorization=_token_in(token_file), renew=_reading(token_file), ca_pem=ca_pem,
        )  # fmt: skip

    @staticmethod
    def namespace_of(path: str | None, context: str | None = None) -> str:
        """The namespace that a kubeconfig's context names; empty if it names none."""
        config = yaml.safe_load(_kubeconfig_file(path).read_text()) or {}
        name = context or config.get("current-context")
        entry: dict[str, Any] = next((one for one in config.get("contexts") or () if one.get("name") == name), {})
        return str((entry.get("context") or {}).get("namespace") or "")

    @classmethod
    def from_kubeconfig(cls, path: str | None, context: str | None = None) -> Self:
        """A kubeconfig file: `path`, else $KUBECONFIG, else ~/.kube/config. Several files in $KUBECONFIG: the first that exists."""
        file = _kubeconfig_file(path)
        try:
            config = yaml.safe_load(file.read_text())
        except (OSError, UnicodeDecodeError) as error:
            raise CredentialsError(f"kubeconfig {file} cannot be read ({type(error).__name__})") from error
        except yaml.YAMLError as error:
            # Neither the parser's words nor the line that it quotes: both may hold a token (I16).
            mark = getattr(error, "problem_mark", None)
            place = f" (line {mark.line + 1})" if mark is not None else ""
            raise CredentialsError(f"kubeconfig {file} is not YAML{place}") from None
        return cls.from_kubeconfig_dict(config, context, source=str(file))

    @classmethod
    def from_kubeconfig_dict(cls, config: Any, context: str | None = None, *, source: str = "kubeconfig") -> Self:
        """A kubeconfig as data. `source` names it in errors."""
        user, cluster = _entries(config, context, source)
        endpoint = cluster.get("server") or ""
        if not endpoint:
            raise CredentialsError(f"{source}: the cluster entry has no server")
        ca_pem = _inline(cluster, "certificate-authority", source)
        insecure = bool(cluster.get("insecure-skip-tls-verify"))
        ssl_context = _context(endpoint, ca_pem, insecure=insecure)
        certificate, key = _inline(user, "client-certificate", source), _inline(user, "client-key", source)
        if certificate and key and ssl_context is not None:
            _load_pair(ssl_context, certificate, key, source)
        authorization = ""
        renew: Callable[[], Awaitable[str]] | None = None
        if user.get("token"):
            authorization = f"Bearer {_sound(str(user['token']), f'{source}: the token of the user')}"
        elif user.get("tokenFile"):
            token_file = Path(user["tokenFile"])
            authorization, renew = _token_in(token_file), _reading(token_file)
        elif user.get("username"):
            pair = f"{user['username']}:{user.get('password', '')}".encode()
            authorization = "Basic " + base64.b64encode(pair).decode()
        elif user.get("exec") or user.get("auth-provider"):
            renew = _plugin(config, context)
        return cls(
            endpoint=endpoint, ssl_context=ssl_context, authorization=authorization, renew=renew,
            proxy_url=cluster.get("proxy-url"), ca_pem=ca_pem, insecure=insecure,
        )  # fmt: skip


def token_of(secret: Mapping[str, Any]) -> str:
    """The bearer token under key `token` of a Secret, without the line break that `echo` leaves; empty if there is none.

    Raises CredentialsError, which never quotes it, for what no request could carry.
    """
    raw = base64.b64decode((secret.get("data") or {}).get("token") or "")
    return _sound(raw.decode("ascii", errors="replace").strip(), f"key token of Secret {secret['metadata']['name']}")


def _sound(token: str, place: str) -> str:
    """The token, if a request can carry it; `place` names it in the error, which never quotes it."""
    if token and not _BEARER.fullmatch(token):
        raise CredentialsError(
            f"{place} is no bearer token: it has other characters than letters, digits and . _ ~ + / - ="
        )
    return token


def _token_in(file: Path) -> str:
    """The authorization that a token file gives now."""
    try:
        return f"Bearer {_sound(file.read_text().strip(), f'the token file {file}')}"
    except (OSError, UnicodeDecodeError) as error:
        raise CredentialsError(f"the token file {file} cannot be read ({type(error).__name__})") from error


def _reading(file: Path) -> Callable[[], Awaitable[str]]:
    """Read the token file again after a 401: whoever renews the token writes it there."""

    async def renew() -> str:
        return await asyncio.to_thread(_token_in, file)

    return renew


def _kubeconfig_file(path: str | None) -> Path:
    """The file to read; raises CredentialsError if there is none."""
    candidates = [path] if path else [*filter(None, os.environ.get("KUBECONFIG", "").split(os.pathsep))]
    candidates = candidates or [str(Path("~/.kube/config").expanduser())]
    file = next((Path(entry) for entry in candidates if Path(entry).exists()), None)
    if file is None:
        raise CredentialsError(f"kubeconfig {candidates[0]} does not exist; pass --kubeconfig FILE or set KUBECONFIG")
    return file


def _plugin(config: Any, context: str | None) -> Callable[[], Awaitable[str]]:
    """Exec plugins and OIDC, as the library runs them; asked at the first 401 and at each later one."""

    async def renew() -> str:
        target = type("Target", (), {"api_key": {}, "host": "", "ssl_ca_cert": None})()
        loader = KubeConfigLoader(config_dict=config, active_context=context)
        await loader.load_and_set(target)
        return str(getattr(target, "api_key", {}).get("BearerToken", ""))

    return renew


def _entries(config: Any, context: str | None, source: str) -> tuple[dict[str, Any], dict[str, Any]]:
    if not isinstance(config, dict):
        raise CredentialsError(f"{source}: not a kubeconfig (a mapping with contexts, clusters and users)")
    name = context or config.get("current-context")
    if not name:
        raise CredentialsError(f"{source}: there is no current-context; pass --context")
    found = _named(config, "contexts", name, source).get("context") or {}
    cluster = _named(config, "clusters", found.get("cluster"), source).get("cluster") or {}
    user = _named(config, "users", found["user"], source).get("user") or {} if found.get("user") else {}
    return user, cluster


def _named(config: dict[str, Any], section: str, name: Any, source: str) -> dict[str, Any]:
    entries = config.get(section) or []
    for entry in entries:
        if isinstance(entry, dict) and entry.get("name") == name:
            return entry
    known = ", ".join(str(entry.get("name")) for entry in entries if isinstance(entry, dict)) or "none"
    raise CredentialsError(f"{source}: {section} has no entry {name!r} (known: {known})")


def _inline(entry: dict[str, Any], field: str, source: str) -> bytes | None:
    if entry.get(f"{field}-data"):
        try:
            return base64.b64decode(entry[f"{field}-data"], validate=True)
        except (binascii.Error, ValueError) as error:
            raise CredentialsError(f"{source}: {field}-data is not base64") from error
    if entry.get(field):
        file = Path(entry[field])
        if not file.exists():
            raise CredentialsError(f"{source}: {field} names {file}, which does not exist")
        return file.read_bytes()
    return None


def _context(endpoint: str, ca_pem: bytes | None, *, insecure: bool) -> ssl.SSLContext | None:
    if not endpoint.startswith("https"):
        return None
    try:
        context = ssl.create_default_context(cadata=ca_pem.decode() if ca_pem else None)
    except (ssl.SSLError, UnicodeDecodeError, ValueError) as error:
        raise CredentialsError(f"the certificate authority of {endpoint} is not a PEM certificate") from error
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _load_pair(context: ssl.SSLContext, certificate: bytes, key: bytes, source: str) -> None:
    """The ssl module reads key pairs from files only: one private file, gone again at once."""
    handle, name = tempfile.mkstemp(prefix="federation-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(certificate.rstrip() + b"\n" + key)
        context.load_cert_chain(name)
    except ssl.SSLError as error:
        raise CredentialsError(f"{source}: client-certificate and client-key are not a pair") from error
    finally:
        Path(name).unlink()
