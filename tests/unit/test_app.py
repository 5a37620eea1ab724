"""Flags of `federation hub` that need no API server."""

import pytest
from click.testing import CliRunner

from federation.app import LEADING, default_identity, main


def test_the_roles_of_the_leader_go_together() -> None:
    answer = CliRunner().invoke(main, ["hub", "--roles=detect,execute"])
    assert answer.exit_code == 2
    assert "go together" in answer.output
    assert all(role in answer.output for role in LEADING)


def test_an_unknown_role_is_named() -> None:
    answer = CliRunner().invoke(main, ["hub", "--roles=dance"])
    assert answer.exit_code == 2
    assert "unknown role dance" in answer.output


def test_an_address_that_no_api_server_calls_is_refused_before_anything_starts() -> None:
    answer = CliRunner().invoke(main, ["hub", "--admission-url=http://hub.test"])
    assert answer.exit_code == 2
    assert "--admission-url: 'http://hub.test' is not of the form https://" in answer.output


def test_a_pod_keeps_its_name_and_other_processes_have_one_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POD_NAME", "federation-hub-0")
    assert default_identity() == "federation-hub-0"
    monkeypatch.delenv("POD_NAME")
    assert default_identity() != default_identity()
