"""The life cycle of a Cluster on the sandbox: what `fedctl join` did not make is kept true as well."""

import base64
import time

import orjson

from federation.api.meta import SYSTEM_NAMESPACE
from federation.hub.install import install_crds
from federation.kube.client import Client
from federation.kube.errors import Unavailable
from federation.kube.resource import CLUSTERS, NAMESPACES, SECRETS, SERVICE_ACCOUNTS
from federation.operator.join import claims_of
from federation.operator.lifecycle import Lifecycle, token_of
from federation.sandbox import ApiServer, Member
from tests.e2e.manifests import API, namespace


def _token(account: str, *, issued: float, expires: float) -> str:
    names = {"namespace": "default", "serviceaccount": {"name": account}}
    body = orjson.dumps({"iat": issued, "exp": expires, "kubernetes.io": names})
    return f"x.{base64.urlsafe_b64encode(body).decode().rstrip('=')}.x"


async def _hub(token: str) -> Client:
    """A hub with a Cluster member1 that somebody applied by hand, and its Secret."""
    hub = ApiServer("hub").client()
    await install_crds(hub)
    await hub.create(NAMESPACES, namespace(SYSTEM_NAMESPACE))
    reference = {"namespace": SYSTEM_NAMESPACE, "name": "by-hand"}
    await hub.create(SECRETS, {
        "apiVersion": "v1", "kind": "Secret", "metadata": reference,
        "data": {"token": base64.b64encode(token.encode()).decode()},
    })  # fmt: skip
    spec = {"syncMode": "Push", "apiEndpoint": "http://member1.test", "secretRef": reference}
    await hub.create(CLUSTERS, {"apiVersion": API, "kind": "Cluster", "metadata": {"name": "member1"}, "spec": spec})
    return hub


async def test_a_token_made_by_hand_is_renewed_for_its_own_account_and_in_its_own_secret() -> None:
    member = Member("member1")
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot", "namespace": "default"}}
    await member.client().create(SERVICE_ACCOUNTS, account)
    now = time.time()
    hub = await _hub(_token("robot", issued=now - 600, expires=now + 300))

    await Lifecycle(hub, renew_fraction=0.5, connect=lambda _: member.transport()).reconcile("member1")

    fresh = claims_of(token_of(await hub.get(SECRETS, "by-hand", SYSTEM_NAMESPACE)))
    assert fresh is not None
    assert (fresh.namespace, fresh.service_account) == ("default", "robot")
    assert fresh.expires > now + 300
    conditions = (await hub.get(CLUSTERS, "member1"))["status"]["conditions"]
    assert {one["type"]: one["status"] for one in conditions} == {"Joined": "True", "Credentials": "True"}


async def test_a_member_whose_certificate_nobody_vouches_for_says_which_field_to_set() -> None:
    hub, member = await _hub("static"), Member("member1")
    refused = Unavailable(
        0, "Unreachable", "SSLCertVerificationError: CERTIFICATE_VERIFY_FAILED: unable to get local issuer"
    )
    member.server.faults = lambda _method, _path: refused

    await Lifecycle(hub, renew_fraction=0.5, connect=lambda _: member.transport()).reconcile("member1")

    joined = (await hub.get(CLUSTERS, "member1"))["status"]["conditions"][0]
    assert (joined["type"], joined["status"], joined["reason"]) == ("Joined", "False", "Unreachable")
    assert "set spec.caBundle, or key ca.crt of the Secret" in joined["message"]
