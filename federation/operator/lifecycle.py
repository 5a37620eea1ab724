"""One Cluster's join and credentials, level-triggered: look, conclude, write what changed, say when to look again.

Conditions `Joined` and `Credentials` are written here only. A member that does not answer is not un-joined (I14).
"""

import base64
import logging
import time
from collections.abc import Callable

from federation.api.meta import SYSTEM_NAMESPACE, Manifest
from federation.hub.conditions import condition
from federation.kube.client import Client
from federation.kube.credentials import Credentials, CredentialsError, token_of
from federation.kube.errors import ApiError, Conflict, Forbidden, Invalid, NotFound, Unauthorized
from federation.kube.resource import CLUSTERS, SECRETS
from federation.kube.transport import AioTransport, Transport
from federation.operator.join import (
    Claims,
    JoinRefused,
    check_identity,
    claims_of,
    cluster_id,
    known_ids,
    request_token,
)

log = logging.getLogger(__name__)

JOINED, CREDENTIALS = "Joined", "Credentials"
RETRY = 5.0
"""Seconds until the next look while something is wrong."""
LONGEST = 3600.0


class Lifecycle:
    """Keeps `Joined`, `Credentials` and the token of each Cluster true."""

    def __init__(
        self, hub: Client, *, renew_fraction: float, connect: Callable[[Credentials], Transport] = AioTransport
    ) -> None:
        self._hub = hub
        self._renew_fraction = renew_fraction
        self._connect = connect
        self._hub_id = ""

    async def reconcile(self, name: str) -> float | None:
        """Look at one Cluster; seconds until the next look, None for a Cluster that is gone or going."""
        try:
            cluster = await self._hub.get(CLUSTERS, name)
        except NotFound:
            return None
        if "deletionTimestamp" in cluster["metadata"] or cluster["spec"].get("syncMode", "Push") != "Push":
            return None
        try:
            secret = await self._secret(cluster)
            credentials = credentials_of(cluster, secret)
        except (CredentialsError, NotFound) as error:
            return await self._refuse(cluster, "InvalidCredentials", str(error))
        member = Client(self._connect(credentials), name=name)
        try:
            return await self._look(cluster, member, token_of(secret))
        finally:
            await member.close()

    async def _look(self, cluster: Manifest, member: Client, token: str) -> float:
        name = cluster["metadata"]["name"]
        try:
            identity = await cluster_id(member)
        except Unauthorized:
            await self._write(cluster, credentials=("False", "Unauthorized", expired_text(name, token)))
            return RETRY
        except Forbidden as error:
            return await self._refuse(
                cluster, "Forbidden", f"{error.message}. Run: fedctl join {name} --renew --kubeconfig F"
            )
        except ApiError as error:
            return await self._unreachable(cluster, error)
        try:
            await self._check(cluster, identity)
        except JoinRefused as error:
            return await self._refuse(cluster, "IdentityRefused", str(error))
        renewed, verdict, delay = await self._renew(cluster, member, token)
        if renewed:
            log.info("cluster %s: token renewed", name)
        await self._write(
            cluster, joined=("True", "Joined", f"kube-system UID {identity}"), credentials=verdict, identity=identity
        )
        return delay

    async def _check(self, cluster: Manifest, identity: str) -> None:
        if not self._hub_id:
            self._hub_id = await cluster_id(self._hub)
        claimed = cluster["spec"].get("id")
        if claimed and claimed != identity:
            raise JoinRefused(f"spec.id is {claimed}, but the cluster behind the endpoint is {identity}")
        if identity in known_ids({"status": cluster.get("status")}):
            return
        others = (await self._hub.list(CLUSTERS)).items
        check_identity(cluster["metadata"]["name"], identity, hub_id=self._hub_id, clusters=others)

    async def _renew(self, cluster: Manifest, member: Client, token: str) -> tuple[bool, tuple[str, str, str], float]:
        """(renewed, verdict for the Credentials condition, seconds until the next look)."""
        claims = claims_of(token)
        if claims is None:
            return False, ("True", "Static", "the token has no end; nothing to renew"), LONGEST
        due = renewal_time(claims, self._renew_fraction) - time.time()
        if due > 0:
            return False, ("True", "Valid", valid_text(claims)), min(due, LONGEST)
        try:
            fresh = await request_token(member, account=claims.service_account, namespace=claims.namespace)
        except ApiError as error:
            text = f"the token ends at {_clock(claims.expires)} and cannot be renewed: {error.message}"
            return False, ("False", "RenewalFailed", text), RETRY
        reference = cluster["spec"]["secretRef"]
        await self._hub.merge_patch(
            SECRETS, reference["name"], reference.get("namespace") or SYSTEM_NAMESPACE,
            {"data": {"token": base64.b64encode(fresh.encode()).decode()}},
        )  # fmt: skip
        new = claims_of(fresh)
        if new is None:
            return True, ("True", "Static", "the token has no end; nothing to renew"), LONGEST
        delay = max(0.5, renewal_time(new, self._renew_fraction) - time.time())
        return True, ("True", "Valid", valid_text(new)), min(delay, LONGEST)

    async def _secret(self, cluster: Manifest) -> Manifest:
        reference = cluster["spec"].get("secretRef") or {}
        namespace, name = reference.get("namespace") or SYSTEM_NAMESPACE, reference.get("name") or ""
        try:
            return await self._hub.get(SECRETS, name, namespace)
        except NotFound as error:
            raise CredentialsError(
                f"spec.secretRef: Secret {namespace}/{name} does not exist; create it with keys token and ca.crt, or run fedctl join"
            ) from error

    async def _refuse(self, cluster: Manifest, reason: str, message: str) -> float:
        await self._write(cluster, joined=("False", reason, message))
        return RETRY

    async def _unreachable(self, cluster: Manifest, error: ApiError) -> float:
        """Not answering says nothing about having joined: a Cluster that never did says so, one that did stays."""
        if _stored(cluster, JOINED) is None:
            unknown_ca = "CERTIFICATE_VERIFY_FAILED" in error.message
            advice = "; set spec.caBundle, or key ca.crt of the Secret, to its CA in base64" if unknown_ca else ""
            message = f"{cluster['spec'].get('apiEndpoint')}: {error.message}{advice}"
            await self._write(cluster, joined=("False", "Unreachable", message))
        return RETRY

    async def _write(
        self,
        cluster: Manifest,
        *,
        joined: tuple[str, str, str] | None = None,
        credentials: tuple[str, str, str] | None = None,
        identity: str = "",
    ) -> None:
        """Write the conditions that changed; the resourceVersion keeps the other writer's in place."""
        for attempt in range(5):
            status = cluster.get("status") or {}
            new = _status(status, cluster["metadata"]["generation"], joined, credentials, identity)
            if new == status:
                return
            operations = [
                {"op": "test", "path": "/metadata/resourceVersion", "value": cluster["metadata"]["resourceVersion"]},
                {"op": "add", "path": "/status", "value": new},
            ]
            try:
                await self._hub.json_patch(
                    CLUSTERS, cluster["metadata"]["name"], None, operations, subresource="status"
                )
            except (Conflict, Invalid):
                if attempt == 4:
                    raise
                cluster = await self._hub.get(CLUSTERS, cluster["metadata"]["name"])
            except NotFound:
                return
            else:
                return


def credentials_of(cluster: Manifest, secret: Manifest) -> Credentials:
    """Credentials from a Cluster and its Secret. Raises CredentialsError, which names the field."""
    spec, data = cluster["spec"], secret.get("data") or {}
    endpoint, ca = spec.get("apiEndpoint") or "", spec.get("caBundle") or data.get("ca.crt")
    if (spec.get("secretRef") or {}).get("namespace", SYSTEM_NAMESPACE) != SYSTEM_NAMESPACE:
        raise CredentialsError(
            f"spec.secretRef.namespace must be {SYSTEM_NAMESPACE}: a Secret of another namespace is never sent to a member"
        )
    if not endpoint:
        raise CredentialsError("spec.apiEndpoint is empty; set it to the URL of the member's API server")
    if not data.get("token"):
        raise CredentialsError(f"Secret {secret['metadata']['name']} has no key token")
    try:
        ca_pem = base64.b64decode(ca) if ca else None
    except ValueError as error:
        raise CredentialsError("spec.caBundle is not base64") from error
    insecure = bool(spec.get("insecureSkipTLSVerification"))
    return Credentials.from_token(endpoint, token_of(secret), ca_pem, insecure=insecure, proxy_url=spec.get("proxyURL"))


def renewal_time(claims: Claims, fraction: float) -> float:
    """When to renew, in seconds since the epoch."""
    return claims.issued + (claims.expires - claims.issued) * fraction


def expired_text(name: str, token: str) -> str:
    """Why a member refuses a token, and what to do."""
    claims = claims_of(token)
    ended = (
        f"the token ended at {_clock(claims.expires)}"
        if claims and claims.expires < time.time()
        else "the token is refused"
    )
    return f"{ended}; run: fedctl join {name} --renew --kubeconfig F"


def valid_text(claims: Claims) -> str:
    """How long a token lasts."""
    return f"the token ends at {_clock(claims.expires)}"


def _clock(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _stored(cluster: Manifest, kind: str) -> Manifest | None:
    conditions = (cluster.get("status") or {}).get("conditions") or []
    return next((entry for entry in conditions if entry["type"] == kind), None)


def _status(
    status: Manifest,
    generation: int,
    joined: tuple[str, str, str] | None,
    credentials: tuple[str, str, str] | None,
    identity: str,
) -> Manifest:
    conditions = list(status.get("conditions") or [])
    for kind, verdict in ((JOINED, joined), (CREDENTIALS, credentials)):
        if verdict is None:
            continue
        old = next((entry for entry in conditions if entry["type"] == kind), None)
        new = condition(
            old,
            kind=kind,
            status=verdict[0],
            reason=verdict[1],
            message=verdict[2],
            generation=generation,
            now=time.time(),
        )
        if old is None:
            conditions.append(new)
        else:
            conditions[conditions.index(old)] = new
    result = {**status, "conditions": conditions}
    if identity:
        result["id"] = identity
    return result
