"""What reading and writing mean to an API server: the sandbox keeps to it, real servers prove it.

Deletion, watches and server-side apply have files of their own beside this one.
"""

from typing import Any

import pytest

from federation.kube.client import METADATA, METADATA_LIST
from federation.kube.errors import AlreadyExists, Conflict, Forbidden, Invalid, NotFound
from federation.kube.resource import CONFIG_MAPS, CRDS, EVENTS, LEASES, NAMESPACES, SECRETS, SERVICE_ACCOUNTS, Resource
from tests.integration.conftest import Api

DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment", namespaced=True, status=True)
SERVICES = Resource("", "v1", "services", "Service", namespaced=True, status=True)


def deployment(api: Api, **spec: Any) -> dict[str, Any]:
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": "web:1"}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": api.namespace},
        "spec": {"selector": {"matchLabels": labels}, "template": template, **spec},
    }


def widget(resource: Resource, api: Api, **fields: Any) -> dict[str, Any]:
    metadata = {"name": "w", "namespace": api.namespace}
    return {"apiVersion": resource.api_version, "kind": "Widget", "metadata": metadata, **fields}


async def test_discovery_names_built_in_kinds_their_scope_and_their_status(api: Api) -> None:
    found = await api.client.discover()

    assert not found.unknown
    for kind, namespaced, status in (("Deployment", True, True), ("PriorityClass", False, False)):
        group = "apps" if namespaced else "scheduling.k8s.io"
        resource = found.find_kind(group, kind)
        assert resource is not None
        assert (resource.namespaced, resource.status) == (namespaced, status)
        assert "watch" in resource.verbs


async def test_old_and_aggregated_discovery_say_the_same_of_shared_groups(api: Api) -> None:
    new = await api.client.discover()
    status, old = await api.send("GET", "/apis/apps/v1")

    assert status == 200
    named = {entry["name"] for entry in old["resources"] if "/" not in entry["name"]}
    assert named == {entry.plural for entry in new.resources if entry.api_version == "apps/v1"}
    assert "deployments/status" in {entry["name"] for entry in old["resources"]}


async def test_the_groups_are_listed_in_the_old_form_too(api: Api) -> None:
    _, groups = await api.send("GET", "/apis")
    _, core = await api.send("GET", "/api")

    assert groups["kind"] == "APIGroupList"
    assert {"apps", "batch", "policy"} <= {group["name"] for group in groups["groups"]}
    assert core["versions"] == ["v1"]


async def test_the_version_is_that_of_a_kubernetes_release(api: Api) -> None:
    assert (await api.client.version()).startswith("v1.")


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_a_healthy_server_says_ok(api: Api, path: str) -> None:
    assert await api.client.get_raw(path) == b"ok"


async def test_a_kind_that_is_not_served_is_not_found_without_a_name(api: Api) -> None:
    with pytest.raises(NotFound) as caught:
        await api.client.get(Resource("", "v1", "nopes", "Nope", namespaced=True), "a", api.namespace)

    assert not (caught.value.details or {}).get("name")


async def test_a_missing_object_is_not_found_by_name(api: Api) -> None:
    with pytest.raises(NotFound) as caught:
        await api.get("nope")

    assert (caught.value.details or {})["name"] == "nope"
    assert caught.value.message == 'configmaps "nope" not found'


async def test_a_created_object_gets_identity_time_and_version(api: Api) -> None:
    created = await api.create(data={"x": "1"})

    metadata = created["metadata"]
    assert created == await api.get()
    assert metadata["uid"]
    assert metadata["creationTimestamp"].endswith("Z")
    assert int(metadata["resourceVersion"]) > 0
    assert "generation" not in metadata
    assert metadata["managedFields"][0]["manager"] == "tester"
    assert metadata["managedFields"][0]["fieldsV1"] == {"f:data": {".": {}, "f:x": {}}}


async def test_a_second_object_of_a_name_already_exists(api: Api) -> None:
    await api.create()

    with pytest.raises(AlreadyExists):
        await api.create()


async def test_a_generated_name_begins_as_asked(api: Api) -> None:
    manifest = api.config_map(metadata={"generateName": "gen-"})
    del manifest["metadata"]["name"]

    first = await api.client.create(CONFIG_MAPS, manifest)
    second = await api.client.create(CONFIG_MAPS, manifest)

    assert first["metadata"]["name"].startswith("gen-")
    assert first["metadata"]["name"] != second["metadata"]["name"]


@pytest.mark.parametrize(
    ("metadata", "status"),
    [
        pytest.param({"name": "A_"}, 422, id="bad name"),
        pytest.param({"name": ""}, 422, id="no name"),
        pytest.param({"namespace": "elsewhere"}, 400, id="other namespace"),
        pytest.param({"resourceVersion": "1"}, 500, id="a version"),
    ],
)
async def test_a_creation_is_refused_with(api: Api, metadata: dict[str, Any], status: int) -> None:
    answer, _ = await api.send("POST", CONFIG_MAPS.path(api.namespace), api.config_map(metadata=metadata))

    assert answer == status


async def test_another_kind_than_that_of_the_path_is_refused(api: Api) -> None:
    status, _ = await api.send("POST", CONFIG_MAPS.path(api.namespace), {**api.config_map(), "kind": "Secret"})

    assert status == 400


async def test_nothing_is_created_in_a_namespace_that_is_not_there(api: Api) -> None:
    with pytest.raises(NotFound) as caught:
        await api.client.create(CONFIG_MAPS, {**api.config_map(), "metadata": {"name": "a"}}, "t-missing")

    assert (caught.value.details or {})["kind"] == "namespaces"


async def test_a_dry_run_answers_as_if_and_stores_nothing(api: Api) -> None:
    status, body = await api.send("POST", CONFIG_MAPS.path(api.namespace) + "?dryRun=All", api.config_map())

    assert status == 201
    assert body["metadata"]["uid"]
    with pytest.raises(NotFound):
        await api.get()


async def test_a_write_moves_the_version_on_and_a_write_of_the_same_does_not(api: Api) -> None:
    created = await api.create(data={"x": "1"})

    changed = await api.client.replace(CONFIG_MAPS, {**created, "data": {"x": "2"}})
    again = await api.client.replace(CONFIG_MAPS, changed)

    assert int(changed["metadata"]["resourceVersion"]) > int(created["metadata"]["resourceVersion"])
    assert again["metadata"]["resourceVersion"] == changed["metadata"]["resourceVersion"]


async def test_a_replacement_of_an_old_version_is_a_conflict(api: Api) -> None:
    created = await api.create(data={"x": "1"})
    await api.client.replace(CONFIG_MAPS, {**created, "data": {"x": "2"}})

    with pytest.raises(Conflict):
        await api.client.replace(CONFIG_MAPS, {**created, "data": {"x": "3"}})


async def test_a_replacement_of_another_uid_is_a_conflict(api: Api) -> None:
    await api.create()

    with pytest.raises(Conflict):
        await api.client.replace(CONFIG_MAPS, api.config_map(metadata={"uid": "other"}))


async def test_a_replacement_without_a_version_is_accepted_for_built_in_kinds(api: Api) -> None:
    created = await api.create(data={"x": "1"})

    replaced = await api.client.replace(CONFIG_MAPS, api.config_map(data={"x": "2"}))

    assert replaced["metadata"]["uid"] == created["metadata"]["uid"]
    assert replaced["metadata"]["creationTimestamp"] == created["metadata"]["creationTimestamp"]


async def test_a_replacement_without_a_version_is_refused_for_custom_kinds(api: Api, widgets: Resource) -> None:
    await api.client.create(widgets, widget(widgets, api, spec={"size": 1}))

    with pytest.raises(Invalid):
        await api.client.replace(widgets, widget(widgets, api, spec={"size": 2}))


async def test_a_merge_patch_sets_and_removes(api: Api) -> None:
    await api.create(data={"x": "1", "y": "1"})

    patched = await api.client.merge_patch(CONFIG_MAPS, "a", api.namespace, {"data": {"x": None, "z": "1"}})

    assert patched["data"] == {"y": "1", "z": "1"}


async def test_a_merge_patch_of_an_old_version_is_a_conflict(api: Api) -> None:
    await api.create()

    with pytest.raises(Conflict):
        await api.client.merge_patch(CONFIG_MAPS, "a", api.namespace, {"metadata": {"resourceVersion": "1"}})


async def test_a_patch_of_the_uid_is_invalid(api: Api) -> None:
    await api.create()

    with pytest.raises(Invalid):
        await api.client.merge_patch(CONFIG_MAPS, "a", api.namespace, {"metadata": {"uid": "other"}})


async def test_a_json_patch_is_done_as_a_whole_or_not_at_all(api: Api) -> None:
    await api.create(data={"x": "1"})
    write = {"op": "replace", "path": "/data/x", "value": "2"}

    test = {"op": "test", "path": "/data/x", "value": "9"}
    with pytest.raises(Invalid) as caught:
        await api.client.json_patch(CONFIG_MAPS, "a", api.namespace, [write, test])
    assert caught.value.status == 422
    assert (await api.get())["data"] == {"x": "1"}

    test = {"op": "test", "path": "/data/x", "value": "1"}
    patched = await api.client.json_patch(CONFIG_MAPS, "a", api.namespace, [test, write])
    assert patched["data"] == {"x": "2"}


async def test_a_json_patch_of_a_path_that_is_not_there_is_invalid(api: Api) -> None:
    await api.create(data={"x": "1"})

    with pytest.raises(Invalid) as caught:
        await api.client.json_patch(CONFIG_MAPS, "a", api.namespace, [{"op": "remove", "path": "/data/nope"}])
    assert caught.value.status == 422


async def test_an_unknown_patch_type_is_refused(api: Api) -> None:
    await api.create()

    status, body = await api.send("PATCH", CONFIG_MAPS.path(api.namespace, "a"), {}, content_type="application/nope")

    assert (status, body["reason"]) == (415, "UnsupportedMediaType")


async def test_the_generation_counts_changes_of_the_spec_only(api: Api) -> None:
    created = await api.client.create(DEPLOYMENTS, deployment(api, replicas=1))
    assert created["metadata"]["generation"] == 1

    labelled = await api.client.merge_patch(DEPLOYMENTS, "web", api.namespace, {"metadata": {"labels": {"a": "b"}}})
    scaled = await api.client.merge_patch(DEPLOYMENTS, "web", api.namespace, {"spec": {"replicas": 3}})
    status = {"status": {"replicas": 3, "observedGeneration": 2}}
    seen = await api.client.merge_patch(DEPLOYMENTS, "web", api.namespace, status, subresource="status")

    assert [entry["metadata"]["generation"] for entry in (labelled, scaled, seen)] == [1, 2, 2]
    assert seen["status"]["observedGeneration"] == 2


async def test_status_is_written_through_its_subresource_only(api: Api) -> None:
    created = await api.client.create(DEPLOYMENTS, {**deployment(api), "status": {"replicas": 7}})
    assert not created["status"]

    spec_only = await api.client.merge_patch(DEPLOYMENTS, "web", api.namespace, {"status": {"replicas": 7}})
    assert not spec_only["status"]

    both = {"spec": {"replicas": 9}, "status": {"replicas": 7}}
    status_only = await api.client.merge_patch(DEPLOYMENTS, "web", api.namespace, both, subresource="status")
    assert (status_only["spec"]["replicas"], status_only["status"]["replicas"]) == (1, 7)
    assert status_only["metadata"]["managedFields"][-1]["subresource"] == "status"


async def test_a_status_of_a_custom_kind_is_a_subresource_too(api: Api, widgets: Resource) -> None:
    created = await api.client.create(widgets, widget(widgets, api, spec={"size": 1}, status={"phase": "New"}))
    assert "status" not in created
    assert created["metadata"]["generation"] == 1

    with_status = await api.client.replace(widgets, {**created, "status": {"phase": "Ready"}}, subresource="status")
    assert (with_status["status"], with_status["metadata"]["generation"]) == ({"phase": "Ready"}, 1)

    grown = await api.client.merge_patch(widgets, "w", api.namespace, {"spec": {"size": 2}, "status": None})
    assert (grown["status"], grown["metadata"]["generation"]) == ({"phase": "Ready"}, 2)


async def test_a_kind_without_status_has_no_such_path(api: Api) -> None:
    await api.create()

    with pytest.raises(NotFound):
        await api.client.merge_patch(CONFIG_MAPS, "a", api.namespace, {"data": {}}, subresource="status")


async def test_the_fields_that_kubernetes_fixes_cannot_change(api: Api) -> None:
    await api.client.create(DEPLOYMENTS, deployment(api))

    patch = {"spec": {"selector": {"matchLabels": {"app": "other"}}}}
    with pytest.raises(Invalid) as caught:
        await api.client.merge_patch(DEPLOYMENTS, "web", api.namespace, patch)
    assert caught.value.status == 422


async def test_a_service_keeps_the_address_that_it_was_given(api: Api) -> None:
    manifest = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "s", "namespace": api.namespace},
        "spec": {"ports": [{"port": 80}], "selector": {"app": "web"}},
    }
    created = await api.client.create(SERVICES, manifest)
    assert created["spec"]["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 80}]

    version = {"resourceVersion": created["metadata"]["resourceVersion"]}
    replaced = await api.client.replace(SERVICES, {**manifest, "metadata": {**manifest["metadata"], **version}})
    assert replaced["spec"]["clusterIP"] == created["spec"]["clusterIP"]


async def test_the_texts_of_a_secret_become_data(api: Api) -> None:
    manifest = {**api.config_map("s"), "kind": "Secret", "stringData": {"x": "secret"}}

    created = await api.client.create(SECRETS, manifest)

    assert (created["data"], created["type"]) == ({"x": "c2VjcmV0"}, "Opaque")
    assert "stringData" not in created


async def test_a_secret_that_is_written_again_without_its_type_keeps_it(api: Api) -> None:
    created = await api.client.create(SECRETS, {**api.config_map("s"), "kind": "Secret"})
    untyped = {key: value for key, value in created.items() if key != "type"}

    assert (await api.client.replace(SECRETS, untyped))["type"] == "Opaque"


async def test_lists_are_sorted_and_items_of_built_in_kinds_have_no_kind(api: Api) -> None:
    for name in ("b", "a"):
        await api.create(name)

    page = await api.client.list(CONFIG_MAPS, api.namespace, field_selector="metadata.name!=kube-root-ca.crt")

    assert [item["metadata"]["name"] for item in page.items] == ["a", "b"]
    assert not any("kind" in item or "apiVersion" in item for item in page.items)
    assert int(page.resource_version) >= int(page.items[1]["metadata"]["resourceVersion"])


async def test_items_of_custom_kinds_have_their_kind(api: Api, widgets: Resource) -> None:
    await api.client.create(widgets, widget(widgets, api))

    page = await api.client.list(widgets, api.namespace)

    assert [(item["kind"], item["apiVersion"]) for item in page.items] == [("Widget", widgets.api_version)]


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("app=web", ["a"]),
        ("app==web,tier=gold", ["a"]),
        ("app!=web", ["b", "c"]),
        ("app", ["a", "b"]),
        ("!app", ["c"]),
        ("app in (web, db)", ["a", "b"]),
        ("app notin (web),tier", ["c"]),
        ("none=such", []),
    ],
)
async def test_labels_select(api: Api, selector: str, names: list[str]) -> None:
    labels = {"a": {"app": "web", "tier": "gold"}, "b": {"app": "db"}, "c": {"tier": "gold"}}
    for name, values in labels.items():
        await api.create(name, metadata={"labels": values})

    page = await api.client.list(
        CONFIG_MAPS, api.namespace, label_selector=selector, field_selector="metadata.name!=kube-root-ca.crt"
    )

    assert [item["metadata"]["name"] for item in page.items] == names


async def test_a_selector_that_means_nothing_is_refused(api: Api) -> None:
    for query in ("labelSelector=a%20b", "fieldSelector=spec.nope%3D1"):
        status, _ = await api.send("GET", f"{CONFIG_MAPS.path(api.namespace)}?{query}")
        assert status == 400


async def test_a_field_selector_finds_by_name_in_all_namespaces(api: Api) -> None:
    await api.create(api.namespace)

    page = await api.client.list(CONFIG_MAPS, field_selector=f"metadata.name={api.namespace}")
    here = await api.client.list(CONFIG_MAPS, field_selector=f"metadata.namespace={api.namespace},metadata.name=no")

    assert [item["metadata"]["namespace"] for item in page.items] == [api.namespace]
    assert not here.items


async def test_events_are_selected_by_what_they_are_about(api: Api) -> None:
    for name in ("a", "b"):
        about = {"apiVersion": "v1", "kind": "Pod", "name": name, "namespace": api.namespace, "uid": f"uid-{name}"}
        event = {
            **api.config_map(f"e-{name}"),
            "kind": "Event",
            "involvedObject": about,
            "reason": "Test",
            "type": "Normal",
        }
        await api.client.create(EVENTS, event)

    selector = "involvedObject.kind=Pod,involvedObject.uid=uid-b"
    page = await api.client.list(EVENTS, api.namespace, field_selector=selector)

    assert [item["metadata"]["name"] for item in page.items] == ["e-b"]


async def test_pages_show_one_moment(api: Api) -> None:
    for name in ("a", "b", "c"):
        await api.create(name, metadata={"labels": {"page": "yes"}})
    path = f"{CONFIG_MAPS.path(api.namespace)}?labelSelector=page&limit=2"

    _, first = await api.send("GET", path)
    await api.create("d", metadata={"labels": {"page": "yes"}})
    _, second = await api.send("GET", f"{path}&continue={first['metadata']['continue']}")

    names = [item["metadata"]["name"] for item in first["items"] + second["items"]]
    assert names == ["a", "b", "c"]
    assert "continue" not in second["metadata"]
    assert first["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]


async def test_the_client_follows_pages_to_the_end(api: Api) -> None:
    for number in range(5):
        await api.create(f"p{number}", metadata={"labels": {"page": "yes"}})

    page = await api.client.list(CONFIG_MAPS, api.namespace, label_selector="page", limit=2)

    assert [item["metadata"]["name"] for item in page.items] == [f"p{number}" for number in range(5)]


async def test_a_version_that_is_not_reached_yet_times_out(api: Api) -> None:
    status, body = await api.send("GET", f"{CONFIG_MAPS.path(api.namespace)}?resourceVersion=999999999")

    assert (status, body["reason"]) == (504, "Timeout")


async def test_metadata_alone_can_be_asked_for(api: Api) -> None:
    await api.create(data={"x": "1"})

    _, one = await api.send("GET", CONFIG_MAPS.path(api.namespace, "a"), accept=METADATA)
    _, many = await api.send("GET", CONFIG_MAPS.path(api.namespace), accept=METADATA_LIST)

    assert (one["kind"], one["apiVersion"]) == ("PartialObjectMetadata", "meta.k8s.io/v1")
    assert set(one) == {"kind", "apiVersion", "metadata"}
    assert many["kind"] == "PartialObjectMetadataList"
    assert {item["kind"] for item in many["items"]} == {"PartialObjectMetadata"}


async def test_a_definition_serves_its_kind_and_says_that_it_is_established(api: Api, widgets: Resource) -> None:
    definition = await api.client.get(CRDS, f"widgets.{widgets.group}")

    conditions = {entry["type"]: entry["status"] for entry in definition["status"]["conditions"]}
    assert conditions["Established"] == "True"
    assert definition["status"]["storedVersions"] == ["v1"]
    found = (await api.client.discover()).find(widgets.api_version, "Widget")
    assert found is not None
    assert (found.plural, found.namespaced, found.status) == ("widgets", True, True)


async def test_a_deleted_definition_takes_its_objects_and_its_kind_along(api: Api, widgets: Resource) -> None:
    await api.client.create(widgets, widget(widgets, api))

    await api.client.delete(CRDS, f"widgets.{widgets.group}")
    await api.gone(CRDS, f"widgets.{widgets.group}")

    async def unserved() -> bool:
        return (await api.client.discover()).find_kind(widgets.group, "Widget") is None

    await api.eventually(unserved)


async def test_a_token_is_given_for_a_service_account(api: Api) -> None:
    account = {**api.config_map("robot"), "kind": "ServiceAccount"}
    await api.client.create(SERVICE_ACCOUNTS, account)
    path = SERVICE_ACCOUNTS.path(api.namespace, "robot", "token")
    head = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"}

    answer = await api.client.post(path, {**head, "spec": {"expirationSeconds": 600}})

    assert len(answer["status"]["token"].split(".")) == 3
    assert answer["status"]["expirationTimestamp"].endswith("Z")
    with pytest.raises(NotFound):
        await api.client.post(SERVICE_ACCOUNTS.path(api.namespace, "nope", "token"), {**head, "spec": {}})


async def test_an_access_review_says_whether(api: Api) -> None:
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": "create", "resource": "pods"}},
    }

    answer = await api.client.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)

    assert answer["status"]["allowed"] is True


async def test_a_lease_needs_its_version_to_be_replaced(api: Api) -> None:
    manifest = {**api.config_map("l"), "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": {}}
    created = await api.client.create(LEASES, manifest)

    renewed = await api.client.replace(LEASES, {**created, "spec": {"holderIdentity": "me"}})
    with pytest.raises(Conflict):
        await api.client.replace(LEASES, {**created, "spec": {"holderIdentity": "you"}})

    assert renewed["spec"]["holderIdentity"] == "me"


async def test_some_namespaces_cannot_be_deleted(api: Api) -> None:
    with pytest.raises(Forbidden):
        await api.client.delete(NAMESPACES, "kube-system")
