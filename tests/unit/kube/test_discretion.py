"""What an API server says of a Secret that it refuses, and credentials that cannot be used, show no value (I16)."""

import base64
import json
import traceback
from collections.abc import Mapping

import pytest

from federation.kube.client import Client
from federation.kube.credentials import Credentials, CredentialsError, token_of
from federation.kube.errors import ApiError, Forbidden
from federation.kube.resource import CONFIG_MAPS, SECRETS
from federation.kube.transport import Response

CANARY = "canary-5b1e"
SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "shop"}, "data": {"a": CANARY}}
RIGHTS = 'secrets "s" is forbidden: User "u:v" cannot patch resource "secrets" in API group "" in the namespace "shop"'


class Refusing:
    """A server that quotes what it refuses."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        causes = [{"field": "data[a]", "reason": "FieldValueInvalid", "message": message}]
        self.status = status
        self.body = json.dumps({
            "kind": "Status", "message": message, "reason": reason,
            "details": {"name": "s", "kind": "secrets", "causes": causes, "retryAfterSeconds": 1},
        }).encode()  # fmt: skip

    async def request(self, method: str, path: str, **_: object) -> Response:
        headers: Mapping[str, str] = {}
        return Response(self.status, headers, self.body)

    async def close(self) -> None:
        return


async def refused(status: int, reason: str, message: str, resource=SECRETS) -> ApiError:
    client = Client(Refusing(status, reason, message))
    with pytest.raises(ApiError) as caught:
        await client.apply(resource, SECRET)
    return caught.value


@pytest.mark.parametrize(
    ("status", "reason"),
    [(422, "Invalid"), (403, "Forbidden"), (400, "BadRequest"), (409, "Conflict"), (500, "InternalError")],
)
async def test_the_words_of_a_server_that_refuses_a_secret_are_dropped_and_the_fields_stay(
    status: int, reason: str
) -> None:
    error = await refused(status, reason, f'admission webhook "w" denied the request: {CANARY}')
    text = "".join(traceback.format_exception(error))
    assert CANARY not in text
    assert CANARY not in repr((error.message, error.causes, error.details))
    assert "data[a]" in error.message
    assert str(status) in error.message


async def test_the_words_about_any_other_kind_stay() -> None:
    assert CANARY in (await refused(422, "Invalid", f"no: {CANARY}", CONFIG_MAPS)).message


async def test_what_rbac_says_stays_but_not_what_is_put_before_or_after_it() -> None:
    error = await refused(403, "Forbidden", RIGHTS)
    assert isinstance(error, Forbidden)
    assert error.message == RIGHTS
    for message in (f"{RIGHTS}: {CANARY}", f"{CANARY} {RIGHTS}"):
        assert CANARY not in (await refused(403, "Forbidden", message)).message


def secret(token: bytes) -> dict:
    return {"metadata": {"name": "cluster-m1"}, "data": {"token": base64.b64encode(token).decode()}}


def test_a_line_break_after_a_token_is_dropped() -> None:
    assert token_of(secret(b"a.b-c_d~e+f/g==\n")) == "a.b-c_d~e+f/g=="
    assert token_of({"metadata": {"name": "x"}}) == ""


@pytest.mark.parametrize("token", [b"%s\nX-Evil: 1", b"%s \xff", b"%s\x00", b'"%s"', b"%s,b"])
def test_a_token_that_no_request_can_carry_is_refused_by_its_key_and_not_quoted(token: bytes) -> None:
    with pytest.raises(CredentialsError, match="key token of Secret cluster-m1") as caught:
        token_of(secret(token % CANARY.encode()))
    assert CANARY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "text",
    [
        f"users:\n- user: {{token: {CANARY}", f"token: {CANARY}: {CANARY}", f"a: *{CANARY}", f"%{CANARY}", f"a: !{CANARY} b",
        f"a: '{CANARY}", f"'{CANARY}\x00'", f"{CANARY}: 1\n\t{CANARY}: 2", CANARY,
    ],
)  # fmt: skip
def test_a_broken_kubeconfig_is_named_and_not_quoted(tmp_path, text: str) -> None:
    file = tmp_path / "config"
    file.write_text(text)
    with pytest.raises(CredentialsError, match="config") as caught:
        Credentials.from_kubeconfig(str(file))
    assert CANARY not in "".join(traceback.format_exception(caught.value))


async def test_a_token_file_is_read_again_after_a_refusal(tmp_path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    config = {
        "current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"tokenFile": str(file)}}],
    }  # fmt: skip
    credentials = Credentials.from_kubeconfig_dict(config)
    assert credentials.headers() == {"Authorization": "Bearer first"}
    assert not await credentials.refresh(credentials.version), "the same token is no news"
    file.write_text("second\n")
    assert await credentials.refresh(credentials.version)
    assert credentials.headers() == {"Authorization": "Bearer second"}


def test_a_token_file_that_is_missing_is_named() -> None:
    config = {
        "current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"tokenFile": "/nowhere/token"}}],
    }  # fmt: skip
    with pytest.raises(CredentialsError, match="/nowhere/token"):
        Credentials.from_kubeconfig_dict(config)
