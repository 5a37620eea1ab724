"""`fedctl hub`, `orphans`, `uninstall` and the refusals of `join`, against the sandbox; tests/e2e/test_restore.py has the whole."""

import json

import pytest

from federation.api.meta import HUB_LABEL, MARK_ANNOTATION, SYSTEM_NAMESPACE
from federation.cli import hub as hub_commands
from federation.cli import orphans as orphans_module
from federation.cli import uninstall as uninstall_module
from federation.cli.orphans import orphans
from federation.cli.session import Refused
from federation.hub.install import install_crds
from federation.hub.record import hub_identity, record_of, write_record
from federation.hub.timeline import behind_text, fell_behind
from federation.kube.client import Client
from federation.kube.errors import NotFound
from federation.kube.resource import CLUSTERS, CRDS, NAMESPACES
from federation.operator import leave as leave_module
from federation.operator.join import JoinRefused, check_owner, prepare_member
from federation.sandbox import ApiServer
from tests.integration.federation import Federation, always, eventually, federation
from tests.integration.test_deletion import mark, place, stray, uids
from tests.unit.hub.test_timeline import an_object

Moment = type(an_object().mark.at)


@pytest.fixture
def reach(monkeypatch: pytest.MonkeyPatch) -> dict[str, Federation]:
    """Commands reach the members of the federation that is put in here."""
    chosen: dict[str, Federation] = {}

    async def member_client(_hub: Client, name: str) -> Client:
        return chosen["fed"].members[name].client()

    for module in (orphans_module, uninstall_module):
        monkeypatch.setattr(module, "member_client", member_client)
    return chosen


async def fall_behind(fed: Federation) -> None:
    one = an_object((1, 150))
    behind = fell_behind([one], bound=Moment(1, 100), since="2026-01-01T00:00:00Z")
    await write_record(fed.client, {"behind": behind_text(behind)})


async def test_status_says_who_the_hub_is_and_what_members_show_that_it_forgot(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with federation(members=1) as fed:
        await hub_commands.status(fed.client, "table")
        said = capsys.readouterr().out
        assert await hub_identity(fed.client) in said
        assert "in step" in said
        await fall_behind(fed)
        await hub_commands.status(fed.client, "json")
        found = json.loads(capsys.readouterr().out)
        assert (found["behind"], found["remembers"], found["membersShow"]) == (True, "1.100", "1.150")
        await hub_commands.status(fed.client, "table")
        assert "m1: Deployment shop/web epoch=3 at=1.150" in capsys.readouterr().out


async def test_resuming_begins_a_new_incarnation_once(reach: dict[str, Federation]) -> None:
    async with federation(members=1) as fed:
        reach["fed"] = fed
        with pytest.raises(Refused, match="nothing to resume"):
            await hub_commands.resume(fed.client, yes=True)
        await fall_behind(fed)
        await hub_commands.resume(fed.client, yes=True)
        record, _ = await record_of(fed.client)
        assert (record.incarnation, dict(record.forks), record.behind) == (2, {1: 100}, None)


async def test_only_a_hub_without_clusters_takes_over_an_identity() -> None:
    async with federation(members=1) as fed:
        with pytest.raises(Refused, match="member1"):
            await hub_commands.identity(fed.client, "old-hub")
        with pytest.raises(Refused, match="one word"):
            await hub_commands.identity(fed.client, "two words")
    empty = ApiServer()
    await hub_commands.identity(empty.client(), "old-hub")
    assert await hub_identity(empty.client()) == "old-hub"


async def test_orphans_are_listed_with_their_reason_and_deleted_on_demand_only(
    reach: dict[str, Federation], capsys: pytest.CaptureFixture[str]
) -> None:
    async with federation(members=2) as fed:
        reach["fed"] = fed
        await place(fed)
        await fed.kill()
        await stray(fed)
        await stray(fed, "theirs", hub="another")
        await orphans(fed.client, cluster=None, delete=False, yes=False, output="json")
        found = json.loads(capsys.readouterr().out)
        assert [(one["cluster"], one["name"], one["reason"]) for one in found] == [("member1", "stray", "TemplateGone")]
        await fall_behind(fed)
        with pytest.raises(Refused, match="resume"):
            await orphans(fed.client, cluster="member1", delete=True, yes=True, output="table")
        assert "member1" in uids(fed, "stray", "ConfigMap")
        await hub_commands.resume(fed.client, yes=True)
        await orphans(fed.client, cluster=None, delete=True, yes=True, output="table")
        assert uids(fed, "stray", "ConfigMap") == {}
        assert "member1" in uids(fed, "theirs", "ConfigMap")
        assert set(uids(fed)) == {"member1", "member2"}, "what has a binding is none"
        with pytest.raises(Refused, match="no cluster"):
            await orphans(fed.client, cluster="nowhere", delete=False, yes=False, output="table")


@pytest.mark.parametrize("running", [True, False], ids=["with a hub process", "without one"])
async def test_uninstalling_keeps_every_copy_without_our_marks(reach: dict[str, Federation], running: bool) -> None:
    async with federation(members=2) as fed:
        reach["fed"] = fed
        before = await place(fed)
        for member in fed.members.values():
            await prepare_member(member.client(), [], hub_id=await hub_identity(fed.client))
        if not running:
            await fed.kill()
        with pytest.raises(Refused, match="2 objects run in 2 members"):
            await uninstall_module.uninstall(fed.client, keep=False, yes=True)
        await uninstall_module.uninstall(fed.client, keep=True, yes=True)
        assert uids(fed) == before
        for name, member in fed.members.items():
            metadata = (fed.copy(name, "Deployment", "web") or {})["metadata"]
            assert MARK_ANNOTATION not in metadata.get("annotations", {})
            assert HUB_LABEL not in metadata.get("labels", {})
            with pytest.raises(NotFound):
                await member.client().get(NAMESPACES, SYSTEM_NAMESPACE)
        assert not [one for one in (await fed.client.list(CRDS)).items if "federation.dev" in one["metadata"]["name"]]
        await always(lambda: uids(fed) == before, seconds=0.2)


async def test_uninstalling_ends_and_names_what_keeps_its_marks(
    reach: dict[str, Federation], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: object) -> None:
        """As a webhook of the member: the patch never gets through."""

    async with federation(members=1) as fed:
        reach["fed"] = fed
        await place(fed)
        monkeypatch.setattr(uninstall_module, "_patch", refused)
        with pytest.raises(Refused, match="member1 keeps our marks on: member1: Deployment shop/web"):
            await uninstall_module.uninstall(fed.client, keep=True, yes=True)


async def test_uninstalling_stops_where_a_member_does_not_answer(reach: dict[str, Federation]) -> None:
    async with federation(members=2) as fed:
        reach["fed"] = fed
        await place(fed)
        fed.members["member2"].server.down = True
        with pytest.raises(Refused, match="member2"):
            await uninstall_module.uninstall(fed.client, keep=True, yes=True)
        assert mark(fed, "member1").binding


async def test_a_member_of_another_hub_is_refused_and_that_hub_is_named() -> None:
    member = ApiServer("member1").client()
    await prepare_member(member, [], hub_id="old-hub")
    await prepare_member(member, [], hub_id="old-hub")
    with pytest.raises(JoinRefused, match="fedctl hub identity old-hub"):
        await prepare_member(member, [], hub_id="new-hub")
    await check_owner(member, hub_id="old-hub")


async def test_our_kinds_deleted_and_installed_again_touch_no_copy() -> None:
    async with federation(members=2) as fed:
        before = await place(fed)
        for crd in (await fed.client.list(CRDS)).items:
            await fed.client.delete(CRDS, crd["metadata"]["name"])
        await leave_module.leave(fed.client, "member1", hub_label="x")  # returns: nobody asked for the copies to go
        for cluster in fed.hub.objects("federation.dev/v1alpha1", "Cluster"):
            await fed.client.merge_patch(
                CLUSTERS, cluster["metadata"]["name"], None, {"metadata": {"finalizers": None}}
            )
        await eventually(lambda: not fed.hub.objects("apiextensions.k8s.io/v1", "CustomResourceDefinition"))
        await always(lambda: uids(fed) == before, seconds=0.5)
        await fed.kill()
        await install_crds(fed.hub.client())
        for name in fed.members:
            await fed.join(name)
        await fed.start()
        await place(fed)
        assert uids(fed) == before
