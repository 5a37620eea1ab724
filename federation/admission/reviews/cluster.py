"""Cluster: what the life cycle would refuse after the fact, above all what another Cluster has already (karmada.md 1.3, 1.7).

One cluster under two names would get everything twice; so neither its identity nor its endpoint may be there a second time.
"""

import base64
import binascii
import ssl
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from federation.admission.review import KnownCluster, Request, Snapshot, Verdict, verdict
from federation.api.meta import Manifest
from federation.policy.syntax import label_key_problem, label_value_problem
from federation.policy.violation import Violation

_PORTS = {"https": 443, "http": 80}


def review(request: Request, snapshot: Snapshot) -> Verdict:
    """The verdict on a Cluster."""
    others = [one for one in snapshot.clusters if one.facts.name != request.name]
    new: Manifest = request.object.get("spec") or {}
    old: Manifest = (request.old or {}).get("spec") or {}
    return verdict(
        _violations(new, others, snapshot.hub_id),
        before=_violations(old, others, snapshot.hub_id),
        warnings=_warnings(new, old, others, snapshot),
    )


def _violations(spec: Manifest, others: list[KnownCluster], hub_id: str) -> Iterator[Violation]:
    identity, endpoint, proxy = spec.get("id"), spec.get("apiEndpoint") or "", spec.get("proxyURL") or ""
    if identity and identity == hub_id:
        yield Violation("cluster-is-hub", "spec.id", "this is the hub itself; a hub cannot be its own member")
    for other in others:
        name = other.facts.name
        if identity and identity in other.ids:
            yield Violation(
                "cluster-twice", "spec.id", f"this cluster has joined already as {name}; run: fedctl leave {name}"
            )
        elif endpoint and (address(endpoint), proxy) == (address(other.endpoint), other.proxy):
            yield Violation(
                "endpoint-twice", "spec.apiEndpoint",
                f"{endpoint} is that of cluster {name}; one cluster joins once. If {name} is gone, run: fedctl leave {name} --force",
            )  # fmt: skip
    if proxy and urlsplit(proxy).scheme not in _PORTS:
        yield Violation("proxy-scheme", "spec.proxyURL", "only http and https proxies are served; give the URL of one")
    problem = _bundle_problem(spec.get("caBundle") or "")
    if problem:
        yield Violation("ca-bundle", "spec.caBundle", problem)
    yield from _taints(spec.get("taints") or ())


def _taints(taints: Sequence[Manifest]) -> Iterator[Violation]:
    seen: set[tuple[str, str]] = set()
    for index, taint in enumerate(taints):
        path, key, value = f"spec.taints[{index}]", str(taint.get("key") or ""), str(taint.get("value") or "")
        problem = label_key_problem(key)
        if problem:
            yield Violation("taint-key", f"{path}.key", f"{key!r}: {problem}")
        problem = label_value_problem(value)
        if problem:
            yield Violation("taint-value", f"{path}.value", f"{value!r}: {problem}")
        pair = key, str(taint.get("effect") or "")
        if pair in seen:
            yield Violation(
                "taint-twice", path, f"{key}:{pair[1]} is there already; a key has each effect once, drop one"
            )
        seen.add(pair)


def _bundle_problem(bundle: str) -> str | None:
    if not bundle:
        return None
    try:
        pem = base64.b64decode(bundle, validate=True).decode("ascii")
        ssl.create_default_context(cadata=pem)
    except (binascii.Error, UnicodeDecodeError):
        return "it is not base64 of PEM certificates; use certificate-authority-data of the member's kubeconfig"
    except (ssl.SSLError, ValueError):
        return "it holds no certificate in PEM; use certificate-authority-data of the member's kubeconfig"
    return None


def _warnings(new: Manifest, old: Manifest, others: list[KnownCluster], snapshot: Snapshot) -> Iterator[str]:
    endpoint, secret = new.get("apiEndpoint") or "", (new.get("secretRef") or {}).get("name") or ""
    if endpoint.startswith("http://"):
        yield "spec.apiEndpoint: http sends the member's token unencrypted; use https"
    if old.get("apiEndpoint") and address(endpoint) != address(old["apiEndpoint"]):
        yield "spec.apiEndpoint: changed; the member's token is sent there, and anything but the same cluster is refused"
    if new.get("insecureSkipTLSVerification"):
        yield "spec.insecureSkipTLSVerification: whoever sits between gets the member's token; set caBundle instead"
    if secret and secret not in snapshot.secrets:
        yield f"spec.secretRef: there is no Secret {secret} in federation-system yet; the cluster waits for it"
    sharing = sorted(one.facts.name for one in others if secret and one.secret == secret)
    if sharing:
        yield f"spec.secretRef: Secret {secret} is that of {', '.join(sharing)} too; one token for two clusters is seldom meant"


def address(endpoint: str) -> tuple[str, str, int | None, str]:
    """An endpoint so that two spellings of one compare equal: scheme, host, port, path."""
    try:
        parts = urlsplit(endpoint)
        return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme), parts.path.rstrip("/")
    except ValueError:  # a port that is none
        return "", endpoint, None, ""
