"""What server-side apply means to an API server: fields have owners, and what an owner drops goes."""

from typing import Any

import pytest

from federation.kube.errors import Conflict
from federation.kube.resource import CONFIG_MAPS, Resource
from tests.integration.conftest import Api
from tests.integration.test_api_semantics import DEPLOYMENTS, SERVICES, deployment, widget


def owners(manifest: dict[str, Any]) -> dict[tuple[str, str], Any]:
    return {
        (entry["manager"], entry["operation"]): entry["fieldsV1"] for entry in manifest["metadata"]["managedFields"]
    }


def containers(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    return manifest["spec"]["template"]["spec"]["containers"]


async def test_an_apply_creates_and_owns_what_it_says(api: Api) -> None:
    status, body = await api.apply(CONFIG_MAPS, api.config_map(data={"x": "1"}, metadata={"labels": {"l": "1"}}))

    assert status == 201
    assert owners(body) == {("one", "Apply"): {"f:data": {"f:x": {}}, "f:metadata": {"f:labels": {"f:l": {}}}}}


async def test_the_same_apply_again_changes_nothing(api: Api) -> None:
    _, first = await api.apply(CONFIG_MAPS, api.config_map(data={"x": "1"}))
    status, second = await api.apply(CONFIG_MAPS, api.config_map(data={"x": "1"}))

    assert status == 200
    assert first == second


async def test_an_apply_needs_a_manager(api: Api) -> None:
    path = CONFIG_MAPS.path(api.namespace, "a")
    status, _ = await api.send("PATCH", path, api.config_map(), content_type="application/apply-patch+yaml")

    assert status == 422


async def test_fields_that_an_applier_drops_are_removed(api: Api) -> None:
    await api.apply(CONFIG_MAPS, api.config_map(data={"x": "1", "y": "1"}, metadata={"labels": {"l": "1"}}))
    _, body = await api.apply(CONFIG_MAPS, api.config_map(data={"x": "1"}))

    assert body["data"] == {"x": "1"}
    assert "labels" not in body["metadata"]
    assert owners(body) == {("one", "Apply"): {"f:data": {"f:x": {}}}}


async def test_fields_that_another_owns_too_stay(api: Api) -> None:
    await api.apply(CONFIG_MAPS, api.config_map(data={"x": "1", "y": "1"}))
    await api.apply(CONFIG_MAPS, api.config_map(data={"x": "1"}), "two")
    _, body = await api.apply(CONFIG_MAPS, api.config_map())

    assert body["data"] == {"x": "1"}
    assert owners(body)["two", "Apply"] == {"f:data": {"f:x": {}}}


async def test_a_field_of_another_applier_is_a_conflict_that_names_it(api: Api) -> None:
    await api.apply(CONFIG_MAPS, api.config_map(data={"x": "1"}))
    status, body = await api.apply(CONFIG_MAPS, api.config_map(data={"x": "2"}), "two")

    assert (status, body["reason"]) == (409, "Conflict")
    cause = {"reason": "FieldManagerConflict", "message": 'conflict with "one"', "field": ".data.x"}
    assert body["details"]["causes"] == [cause]
    assert body["message"] == 'Apply failed with 1 conflict: conflict with "one": .data.x'


async def test_a_field_that_an_update_wrote_is_a_conflict_too(api: Api) -> None:
    await api.create(data={"x": "1"})
    status, body = await api.apply(CONFIG_MAPS, api.config_map(data={"x": "2"}))

    assert status == 409
    assert body["message"].startswith('Apply failed with 1 conflict: conflict with "tester" using v1')


async def test_the_same_value_is_shared_without_a_conflict(api: Api) -> None:
    await api.create(data={"x": "1"})
    status, body = await api.apply(CONFIG_MAPS, api.config_map(data={"x": "1"}))

    assert status == 200
    assert set(owners(body)) == {("tester", "Update"), ("one", "Apply")}


async def test_force_takes_the_field(api: Api) -> None:
    await api.apply(CONFIG_MAPS, api.config_map(data={"x": "1", "y": "1"}))
    status, body = await api.apply(CONFIG_MAPS, api.config_map(data={"x": "2"}), "two", query="&force=true")

    assert (status, body["data"]) == (200, {"x": "2", "y": "1"})
    assert owners(body) == {("one", "Apply"): {"f:data": {"f:y": {}}}, ("two", "Apply"): {"f:data": {"f:x": {}}}}


async def test_an_update_takes_the_fields_that_it_changes(api: Api) -> None:
    await api.apply(CONFIG_MAPS, api.config_map(data={"x": "1", "y": "1"}))
    patched = await api.client.merge_patch(CONFIG_MAPS, "a", api.namespace, {"data": {"x": "2"}})

    assert owners(patched) == {("one", "Apply"): {"f:data": {"f:y": {}}}, ("tester", "Update"): {"f:data": {"f:x": {}}}}


async def test_a_field_that_an_update_removes_has_no_owner_left(api: Api) -> None:
    await api.apply(CONFIG_MAPS, api.config_map(data={"x": "1", "y": "1"}))
    patched = await api.client.merge_patch(CONFIG_MAPS, "a", api.namespace, {"data": {"x": None}})

    assert owners(patched) == {("one", "Apply"): {"f:data": {"f:y": {}}}}


async def test_a_version_of_one_creates_and_is_a_conflict_where_something_exists(api: Api) -> None:
    manifest = api.config_map(data={"x": "1"})

    created = await api.client.apply(CONFIG_MAPS, manifest, create_only=True)
    with pytest.raises(Conflict):
        await api.client.apply(CONFIG_MAPS, manifest, create_only=True)

    assert created["metadata"]["resourceVersion"] != "1"


async def test_an_apply_of_an_old_version_is_a_conflict(api: Api) -> None:
    _, first = await api.apply(CONFIG_MAPS, api.config_map(data={"x": "1"}))
    version = {"resourceVersion": first["metadata"]["resourceVersion"]}
    second, _ = await api.apply(CONFIG_MAPS, api.config_map(data={"x": "2"}, metadata=version))
    third, _ = await api.apply(CONFIG_MAPS, api.config_map(data={"x": "3"}, metadata=version))

    assert (second, third) == (200, 409)


async def test_an_apply_to_a_uid_is_for_that_object_only(api: Api) -> None:
    other = {"uid": "other"}
    missing, _ = await api.apply(CONFIG_MAPS, api.config_map(metadata=other))
    await api.create()
    mismatch, _ = await api.apply(CONFIG_MAPS, api.config_map(metadata=other))

    assert (missing, mismatch) == (409, 422)


async def test_a_dry_run_of_an_apply_changes_nothing(api: Api) -> None:
    created = await api.client.apply(CONFIG_MAPS, api.config_map(data={"x": "1"}))
    tried = await api.client.apply(CONFIG_MAPS, api.config_map(data={"x": "2"}), dry_run=True)

    assert tried["data"] == {"x": "2"}
    assert await api.get() == created


async def test_nothing_is_applied_in_a_namespace_that_is_not_there(api: Api) -> None:
    status, body = await api.apply(
        CONFIG_MAPS, {**api.config_map(), "metadata": {"name": "a", "namespace": "t-missing"}}
    )

    assert (status, body["details"]["kind"]) == (404, "namespaces")


async def test_an_apply_bumps_the_generation_when_the_spec_changes(api: Api) -> None:
    _, first = await api.apply(DEPLOYMENTS, deployment(api, replicas=2))
    _, second = await api.apply(DEPLOYMENTS, deployment(api, replicas=3))
    _, third = await api.apply(DEPLOYMENTS, deployment(api, replicas=3))

    assert [entry["metadata"]["generation"] for entry in (first, second, third)] == [1, 2, 2]


async def test_replicas_that_another_scales_stay_when_left_out(api: Api) -> None:
    await api.apply(DEPLOYMENTS, deployment(api, replicas=2))
    await api.client.merge_patch(DEPLOYMENTS, "web", api.namespace, {"spec": {"replicas": 5}})

    status, body = await api.apply(DEPLOYMENTS, deployment(api))
    conflict, _ = await api.apply(DEPLOYMENTS, deployment(api, replicas=2))

    assert (status, body["spec"]["replicas"], conflict) == (200, 5, 409)


async def test_replicas_that_nobody_owns_fall_back_to_one(api: Api) -> None:
    await api.apply(DEPLOYMENTS, deployment(api, replicas=2))
    _, body = await api.apply(DEPLOYMENTS, deployment(api))

    assert body["spec"]["replicas"] == 1


async def test_containers_are_merged_by_name_and_env_by_name(api: Api) -> None:
    manifest = deployment(api)
    containers(manifest)[0]["env"] = [{"name": "A", "value": "1"}, {"name": "B", "value": "1"}]
    await api.apply(DEPLOYMENTS, manifest)
    sidecar = {"op": "add", "path": "/spec/template/spec/containers/-", "value": {"name": "proxy", "image": "proxy:1"}}
    env = {"op": "add", "path": "/spec/template/spec/containers/0/env/-", "value": {"name": "C", "value": "1"}}
    await api.client.json_patch(DEPLOYMENTS, "web", api.namespace, [sidecar, env])

    containers(manifest)[0]["env"] = [{"name": "B", "value": "2"}]
    status, body = await api.apply(DEPLOYMENTS, manifest)

    assert status == 200
    assert [entry["name"] for entry in containers(body)] == ["web", "proxy"]
    assert containers(body)[0]["env"] == [{"name": "B", "value": "2"}, {"name": "C", "value": "1"}]


async def test_a_container_that_its_owner_drops_goes_with_its_defaults(api: Api) -> None:
    manifest = deployment(api)
    containers(manifest).append({"name": "extra", "image": "extra:1"})
    await api.apply(DEPLOYMENTS, manifest)
    containers(manifest).pop()
    _, body = await api.apply(DEPLOYMENTS, manifest)

    assert [entry["name"] for entry in containers(body)] == ["web"]


async def test_the_order_of_containers_is_that_of_the_applier(api: Api) -> None:
    manifest = deployment(api)
    containers(manifest).append({"name": "extra", "image": "extra:1"})
    await api.apply(DEPLOYMENTS, manifest)
    containers(manifest).reverse()
    _, body = await api.apply(DEPLOYMENTS, manifest)

    assert [entry["name"] for entry in containers(body)] == ["extra", "web"]


async def test_arguments_are_owned_as_a_whole(api: Api) -> None:
    manifest = deployment(api)
    containers(manifest)[0]["args"] = ["a", "b"]
    await api.apply(DEPLOYMENTS, manifest)
    containers(manifest)[0]["args"] = ["c"]
    conflict, body = await api.apply(DEPLOYMENTS, manifest, "two")
    _, forced = await api.apply(DEPLOYMENTS, manifest, "two", query="&force=true")

    assert conflict == 409
    assert [cause["field"] for cause in body["details"]["causes"]] == [
        '.spec.template.spec.containers[name="web"].args'
    ]
    assert containers(forced)[0]["args"] == ["c"]


async def test_a_list_key_twice_is_refused_as_the_real_server_does(api: Api) -> None:
    manifest = deployment(api)
    containers(manifest)[0]["env"] = [{"name": "A", "value": "1"}, {"name": "A", "value": "1"}]
    status, body = await api.apply(DEPLOYMENTS, manifest)

    assert status == 500
    assert body["message"].startswith("failed to create typed patch object")
    assert body["message"].endswith(
        '.spec.template.spec.containers[name="web"].env: duplicate entries for key [name="A"]'
    )


async def test_ports_of_a_service_are_merged_by_port_and_protocol(api: Api) -> None:
    ports = [{"port": 53, "protocol": "UDP", "name": "u"}, {"port": 53, "protocol": "TCP", "name": "t"}]
    manifest = {**api.config_map("dns"), "kind": "Service", "spec": {"ports": ports, "selector": {"app": "dns"}}}
    _, first = await api.apply(SERVICES, manifest)
    manifest["spec"] = {**manifest["spec"], "ports": [ports[1]]}
    _, second = await api.apply(SERVICES, manifest)

    assert [port["name"] for port in first["spec"]["ports"]] == ["u", "t"]
    assert [port["name"] for port in second["spec"]["ports"]] == ["t"]
    assert second["spec"]["clusterIP"] == first["spec"]["clusterIP"]


async def test_finalizers_are_a_set(api: Api) -> None:
    await api.apply(CONFIG_MAPS, api.config_map(metadata={"finalizers": ["a.dev/one"]}))
    _, both = await api.apply(CONFIG_MAPS, api.config_map(metadata={"finalizers": ["a.dev/two"]}), "two")
    _, one = await api.apply(CONFIG_MAPS, api.config_map())
    await api.apply(CONFIG_MAPS, api.config_map(), "two")

    assert both["metadata"]["finalizers"] == ["a.dev/one", "a.dev/two"]
    assert one["metadata"]["finalizers"] == ["a.dev/two"]
    assert owners(both)["two", "Apply"] == {"f:metadata": {"f:finalizers": {'v:"a.dev/two"': {}}}}


async def test_status_is_applied_through_its_subresource(api: Api) -> None:
    await api.apply(DEPLOYMENTS, deployment(api))
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "R",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    manifest = {**deployment(api), "status": {"conditions": [ready]}}
    main, ignored = await api.apply(DEPLOYMENTS, manifest)
    status, body = await api.apply(DEPLOYMENTS, manifest, "two", subresource="status")

    assert (main, status) == (200, 200)
    assert not ignored["status"]
    assert [entry["type"] for entry in body["status"]["conditions"]] == ["Ready"]
    assert list(owners(body)["two", "Apply"]) == ["f:status"]


async def test_a_status_of_nothing_is_not_found(api: Api) -> None:
    status, _ = await api.apply(DEPLOYMENTS, {**deployment(api), "status": {}}, subresource="status")

    assert status == 404


async def test_lists_of_a_custom_kind_merge_as_its_schema_says(api: Api, widgets: Resource) -> None:
    mine = {"plain": ["a"], "tags": ["a"], "parts": [{"id": "a", "weight": 1}], "size": 1}
    await api.apply(widgets, widget(widgets, api, spec=mine))
    yours = {"tags": ["b"], "parts": [{"id": "b", "weight": 1}]}
    _, both = await api.apply(widgets, widget(widgets, api, spec=yours), "two")
    conflict, body = await api.apply(widgets, widget(widgets, api, spec={"plain": ["b"]}), "two")
    _, rest = await api.apply(widgets, widget(widgets, api, spec={"size": 1}))

    assert both["spec"] == {**mine, "tags": ["a", "b"], "parts": [*mine["parts"], *yours["parts"]]}
    assert (conflict, [cause["field"] for cause in body["details"]["causes"]]) == (409, [".spec.plain"])
    assert rest["spec"] == {"size": 1, **yours}


async def test_a_label_that_was_the_last_leaves_no_empty_map_behind(api: Api, widgets: Resource) -> None:
    manifest = widget(widgets, api, spec={"size": 1, "color": "red"})
    labelled = {**manifest, "metadata": {**manifest["metadata"], "labels": {"l": "1"}}}
    await api.apply(widgets, labelled)
    _, body = await api.apply(widgets, manifest)

    assert "labels" not in body["metadata"]
    assert body["metadata"]["generation"] == 1


async def test_an_apply_may_be_written_in_yaml(api: Api) -> None:
    path = CONFIG_MAPS.path(api.namespace, "a") + "?fieldManager=one"
    text = b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  x: '1'\n"
    response = await api.transport.request("PATCH", path, body=text, content_type="application/apply-patch+yaml")

    assert response.status == 201
    assert (await api.get())["data"] == {"x": "1"}
