"""The life cycle of a Cluster on the sandbox: what `fedctl join` did not make is kept true as well."""

import base64
import time

import orjson

from federation.api.meta import SYSTEM_NAMESPACE
from federation.hub.install import install_crds
from federation.kube.resource import CLUSTERS, NAMESPACES, SECRETS, SERVICE_ACCOUNTS
from federation.operator.join import claims_of
from federation.operator.lifecycle import Lifecycle, token_of
from federation.sandbox import ApiServer, Member
from tests.e2e.manifests import API, namespace


def _token(account: str, *, issued: float, expires: float) -> str:
    names = {"namespace": "default", "serviceaccount": {"name": account}}
    body = orjson.dumps({"iat": issued, "exp": expires, "kubernetes.io": names})
    return f"x.{base64.urlsafe_b64encode(body).decode().rstrip('=')}.x"


async def test_a_token_made_by_hand_is_renewed_for_its_own_account_and_in_its_own_secret() -> None:
    server, member = ApiServer("hub"), Member("member1")
    hub = server.client()
    await install_crds(hub)
    await hub.create(NAMESPACES, namespace(SYSTEM_NAMESPACE))
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot", "namespace": "default"}}
    await member.client().create(SERVICE_ACCOUNTS, account)
    now = time.time()
    token = _token("robot", issued=now - 600, expires=now + 300)
    await hub.create(SECRETS, {
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "by-hand", "namespace": SYSTEM_NAMESPACE},
        "data": {"token": base64.b64encode(token.encode()).decode()},
    })  # fmt: skip
    reference = {"namespace": SYSTEM_NAMESPACE, "name": "by-hand"}
    spec = {"syncMode": "Push", "apiEndpoint": "http://member1.test", "secretRef": reference}
    await hub.create(CLUSTERS, {"apiVersion": API, "kind": "Cluster", "metadata": {"name": "member1"}, "spec": spec})

    await Lifecycle(hub, renew_fraction=0.5, connect=lambda _: member.transport()).reconcile("member1")

    fresh = claims_of(token_of(await hub.get(SECRETS, "by-hand", SYSTEM_NAMESPACE)))
    assert fresh is not None
    assert (fresh.namespace, fresh.service_account) == ("default", "robot")
    assert fresh.expires > now + 300
    conditions = (await hub.get(CLUSTERS, "member1"))["status"]["conditions"]
    assert {one["type"]: one["status"] for one in conditions} == {"Joined": "True", "Credentials": "True"}
