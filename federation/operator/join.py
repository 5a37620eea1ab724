"""What a join makes in a member, and asking it for a token. Used by `fedctl join` and, for renewal, by the operator.

Everything in the member hangs on one Namespace by owner references, so that deleting the Namespace takes all of it away.
The administrator's credentials are used while the command runs and are never stored.
"""

import asyncio
import base64
import binascii
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from federation.api.meta import API_VERSION, SYSTEM_NAMESPACE, Manifest
from federation.api.naming import short_hash
from federation.kube.client import Client
from federation.kube.errors import AlreadyExists, NotFound
from federation.kube.resource import CLUSTERS, NAMESPACES, SECRETS, SERVICE_ACCOUNTS, Resource
from federation.operator.rights import RBAC_GROUP, SERVICE_ACCOUNT, Rule, merged, token_rule

JOINED_BY_LABEL = "federation.dev/joined-by"
"""On our Namespace in a member: the hash of the hub's id; as an annotation the id itself."""
CLUSTER_LABEL = "federation.dev/cluster"
"""On a Secret that `fedctl join` made: the name of its Cluster."""
TOKEN_SECONDS = 24 * 3600
ENDING_SECONDS = 60

CLUSTER_ROLES = Resource(RBAC_GROUP, "v1", "clusterroles", "ClusterRole", namespaced=False)
CLUSTER_ROLE_BINDINGS = Resource(RBAC_GROUP, "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False)
ROLES = Resource(RBAC_GROUP, "v1", "roles", "Role", namespaced=True)
ROLE_BINDINGS = Resource(RBAC_GROUP, "v1", "rolebindings", "RoleBinding", namespaced=True)


class JoinRefused(Exception):
    """The cluster may not join under that name; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What we read of a service account token: times in seconds since the epoch, and whose it is."""

    issued: float
    expires: float
    namespace: str
    service_account: str


async def cluster_id(client: Client) -> str:
    """Identity of a cluster: the UID of its kube-system namespace."""
    return str((await client.get(NAMESPACES, "kube-system"))["metadata"]["uid"])


def check_identity(name: str, identity: str, *, hub_id: str, clusters: Sequence[Manifest]) -> None:
    """Refuse the hub itself and a cluster that another name holds. Raises JoinRefused."""
    if identity == hub_id:
        raise JoinRefused("this is the hub itself (same kube-system namespace); a hub cannot be its own member")
    for cluster in clusters:
        other = cluster["metadata"]["name"]
        if other != name and identity in known_ids(cluster):
            raise JoinRefused(f"this cluster has joined already as {other!r}; run: fedctl leave {other}")


def known_ids(cluster: Manifest) -> set[str]:
    """The identities that a Cluster object claims (spec) or was seen to have (status)."""
    found = ((cluster.get("spec") or {}).get("id"), (cluster.get("status") or {}).get("id"))
    return {one for one in found if one}


async def check_owner(client: Client, *, hub_id: str) -> None:
    """Refuse a member that another hub has joined: its copies would be nobody's. Raises JoinRefused."""
    try:
        metadata = (await client.get(NAMESPACES, SYSTEM_NAMESPACE))["metadata"]
    except NotFound:
        return
    label = (metadata.get("labels") or {}).get(JOINED_BY_LABEL) or ""
    if not label or label == short_hash(hub_id) or "deletionTimestamp" in metadata:
        return
    other = (metadata.get("annotations") or {}).get(JOINED_BY_LABEL) or f"with hash {label}"
    raise JoinRefused(
        f"this cluster belongs to hub {other}, this hub is {hub_id}. If this hub was rebuilt in its place, give it the old"
        f" identity before any cluster joins: fedctl hub identity {other}. If that hub is gone for good: kubectl delete"
        f" namespace {SYSTEM_NAMESPACE} in the member, and join again; its copies there stay, and are refused by name"
    )


async def prepare_member(client: Client, rules: Sequence[Rule], *, hub_id: str) -> None:
    """Make, or bring up to date, Namespace, service account and rights in a member. Idempotent. Raises JoinRefused."""
    await check_owner(client, hub_id=hub_id)
    namespace = await _namespace(client, hub_id)
    owner = [{"apiVersion": "v1", "kind": "Namespace", "name": SYSTEM_NAMESPACE, "uid": namespace["metadata"]["uid"]}]
    subject = {"kind": "ServiceAccount", "name": SERVICE_ACCOUNT, "namespace": SYSTEM_NAMESPACE}
    cluster_wide = {"name": SERVICE_ACCOUNT, "ownerReferences": owner}
    inside = {"name": SERVICE_ACCOUNT, "namespace": SYSTEM_NAMESPACE}
    await client.apply(SERVICE_ACCOUNTS, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": inside})
    await client.apply(CLUSTER_ROLES, _rbac("ClusterRole", cluster_wide, rules=[rule.as_json() for rule in rules]))
    await client.apply(CLUSTER_ROLE_BINDINGS, _rbac(
        "ClusterRoleBinding", cluster_wide, roleRef=_reference("ClusterRole"), subjects=[subject]
    ))  # fmt: skip
    await client.apply(ROLES, _rbac("Role", inside, rules=[token_rule()]))
    await client.apply(ROLE_BINDINGS, _rbac("RoleBinding", inside, roleRef=_reference("Role"), subjects=[subject]))


async def _namespace(client: Client, hub_id: str) -> Manifest:
    """Our Namespace in the member; one that an earlier leave is still taking away is waited for."""
    wanted = {
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {
            "name": SYSTEM_NAMESPACE, "labels": {JOINED_BY_LABEL: short_hash(hub_id)},
            "annotations": {JOINED_BY_LABEL: hub_id},
        },
    }  # fmt: skip
    for _ in range(ENDING_SECONDS * 2):
        found = await client.apply(NAMESPACES, wanted)
        if "deletionTimestamp" not in found["metadata"]:
            return found
        await asyncio.sleep(0.5)
    raise JoinRefused(
        f"namespace {SYSTEM_NAMESPACE} in the member is being deleted and does not end; kubectl get ns tells why"
    )


async def allow(client: Client, rules: Sequence[Rule]) -> None:
    """Add rights to those that a member gave before. Raises JoinRefused where it never joined."""
    try:
        role = await client.get(CLUSTER_ROLES, SERVICE_ACCOUNT)
    except NotFound as error:
        raise JoinRefused(
            "this cluster has not joined: it has no ClusterRole federation-hub; run: fedctl join"
        ) from error
    metadata = {key: role["metadata"][key] for key in ("name", "ownerReferences") if key in role["metadata"]}
    await client.apply(CLUSTER_ROLES, _rbac("ClusterRole", metadata, rules=merged(role.get("rules") or (), rules)))


async def request_token(
    client: Client, *, account: str = SERVICE_ACCOUNT, namespace: str = SYSTEM_NAMESPACE, seconds: int = TOKEN_SECONDS
) -> str:
    """A fresh token of a service account in the member, ours by default; the member may give it a shorter life."""
    path = SERVICE_ACCOUNTS.path(namespace, account, "token")
    body = {
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": seconds},
    }  # fmt: skip
    return str((await client.post(path, body))["status"]["token"])


def claims_of(token: str) -> Claims | None:
    """The claims of a token, unverified (its own API server checks it); None for a token without an end."""
    try:
        payload = token.split(".")[1]
        body: dict[str, Any] = orjson.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        account = body["kubernetes.io"]
        return Claims(
            issued=float(body["iat"]), expires=float(body["exp"]), namespace=account["namespace"],
            service_account=account["serviceaccount"]["name"],
        )  # fmt: skip
    except (IndexError, KeyError, TypeError, ValueError, binascii.Error):
        return None


def secret_name(cluster: str) -> str:
    """Name of the Secret on the hub that holds a member's token."""
    return f"cluster-{cluster}"


async def store_token(hub: Client, cluster: str, *, token: str, ca_pem: bytes | None) -> None:
    """Write the Secret of a Cluster in the hub's own namespace, making the namespace if need be."""
    try:
        await hub.get(NAMESPACES, SYSTEM_NAMESPACE)
    except NotFound:
        with contextlib.suppress(AlreadyExists):
            await hub.create(
                NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM_NAMESPACE}}
            )
    data = {"token": base64.b64encode(token.encode()).decode()}
    if ca_pem:
        data["ca.crt"] = base64.b64encode(ca_pem).decode()
    await hub.apply(SECRETS, {
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": data,
        "metadata": {"name": secret_name(cluster), "namespace": SYSTEM_NAMESPACE, "labels": {CLUSTER_LABEL: cluster}},
    })  # fmt: skip


async def create_cluster(hub: Client, name: str, *, labels: dict[str, str], spec: Manifest) -> Manifest:
    """Create the Cluster. Raises JoinRefused for a name that is taken."""
    manifest = {
        "apiVersion": API_VERSION, "kind": "Cluster", "metadata": {"name": name, "labels": labels},
        "spec": {"syncMode": "Push", "secretRef": {"namespace": SYSTEM_NAMESPACE, "name": secret_name(name)}, **spec},
    }  # fmt: skip
    try:
        return await hub.create(CLUSTERS, manifest)
    except AlreadyExists as error:
        raise JoinRefused(
            f"the name {name!r} is taken by another cluster; choose another, or run: fedctl leave {name}"
        ) from error


def _rbac(kind: str, metadata: Manifest, **fields: Any) -> Manifest:
    return {"apiVersion": f"{RBAC_GROUP}/v1", "kind": kind, "metadata": metadata, **fields}


def _reference(kind: str) -> Manifest:
    return {"apiGroup": RBAC_GROUP, "kind": kind, "name": SERVICE_ACCOUNT}
