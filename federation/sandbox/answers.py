"""From a request to its answer: decodes, calls the registry, and shows the result. No network, no waiting."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import yaml

from federation.api.meta import Manifest
from federation.kube.transport import Response
from federation.sandbox.catalogue import AGGREGATED, catalogue
from federation.sandbox.patching import json_patched, merge_patched
from federation.sandbox.refusals import (
    RefusalError,
    bad_request,
    expired,
    invalid_options,
    method_not_allowed,
    no_such_path,
    too_new,
)
from federation.sandbox.registry import Deletion, Options, Registry
from federation.sandbox.reviews import Access, review, token_request
from federation.sandbox.routing import Place, Target, split, target
from federation.sandbox.selectors import selecting
from federation.sandbox.views import listed, metadata_only, shown

_POLICIES = ("", "Background", "Foreground", "Orphan")


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came."""

    method: str
    path: str
    body: bytes | None
    content_type: str
    accept: str


class Answers:
    """All that a server says to requests other than watches."""

    def __init__(
        self, registry: Registry, *, version: str, access: Access, aggregated: bool, clock: Callable[[], datetime]
    ) -> None:
        self._registry = registry
        self._version = version
        self._access = access
        self._aggregated = aggregated
        self._clock = clock
        self._rests: dict[str, tuple[list[Manifest], str]] = {}

    def expire_lists(self) -> None:
        """Forget what continue tokens stand for: they are answered with 410."""
        self._rests.clear()

    def answer(self, request: Request) -> Response:
        """The answer; refusals are answers too."""
        try:
            place = split(request.path)
            if place.parts and place.parts[0] not in ("api", "apis"):
                return self._plain(request, place)
            if len(place.parts) <= (2 if place.parts[:1] == ("api",) else 3):
                return self._root(request, place)
            return self._objects(request, place)
        except RefusalError as refusal:
            return refused(refusal)

    def _plain(self, request: Request, place: Place) -> Response:
        if request.method != "GET":
            raise method_not_allowed()
        if place.parts[0] in ("healthz", "readyz", "livez"):
            return Response(200, {"content-type": "text/plain; charset=utf-8"}, b"ok")
        if place.parts == ("version",):
            major, minor, _ = self._version.removeprefix("v").split(".", 2)
            return _json(200, {"major": major, "minor": minor, "gitVersion": self._version, "platform": "linux/amd64"})
        raise no_such_path()

    def _root(self, request: Request, place: Place) -> Response:
        if request.method != "GET":
            raise no_such_path()
        asked = [form for form in request.accept.replace(" ", "").split(",") if "as=APIGroupDiscoveryList" in form]
        aggregated = self._aggregated and any("v=v2;" in f"{form};" for form in asked)
        document = catalogue(place, self._registry.kinds, aggregated=aggregated)
        kind = AGGREGATED if document["kind"] == "APIGroupDiscoveryList" else "application/json"
        return _json(200, document, kind)

    def _objects(self, request: Request, place: Place) -> Response:
        if request.method == "POST" and (answer := review(place.parts[-1], _decoded(request) or {}, self._access)):
            return _json(201, answer)
        found = target(place, self._registry.kinds)
        if found.subresource == "token" and found.kind.kind == "ServiceAccount" and request.method == "POST":
            account = self._registry.get(found.kind, found.namespace, found.name)
            return _json(201, token_request(account, _decoded(request), self._clock()))
        if found.subresource and not (found.subresource == "status" and found.kind.status):
            raise no_such_path()
        verbs = self._ONE if found.name else self._MANY
        verb = verbs.get(request.method)
        if verb is None:
            raise method_not_allowed()
        return verb(self, request, found)

    def _get(self, request: Request, found: Target) -> Response:
        return self._show(request, found, self._registry.get(found.kind, found.namespace, found.name))

    def _list(self, request: Request, found: Target) -> Response:
        query, storage = found.query, self._registry.storage
        selects, asked = selecting(found.kind, query), query.get("resourceVersion", "")
        if asked and not asked.isdigit():
            raise bad_request(f"Invalid value: {asked!r}: resourceVersion must be a number")
        if int(asked or 0) > storage.version:
            raise too_new(int(asked), storage.version)
        if token := query.get("continue"):
            if token not in self._rests:
                raise expired("The provided continue parameter is too old to display a consistent list result.")
            items, version = self._rests[token]
        else:
            items = [item for item in storage.values(found.kind.collection, found.namespace) if selects(item)]
            version = str(storage.version)
        metadata: Manifest = {"resourceVersion": version}
        limit = 0 if asked == "0" else int(query.get("limit") or 0)
        if limit and len(items) > limit:
            metadata["continue"] = secrets.token_urlsafe(12)
            if not query.get("labelSelector") and not query.get("fieldSelector"):
                metadata["remainingItemCount"] = len(items) - limit
            self._rests[metadata["continue"]] = (items[limit:], version)
            items = items[:limit]
        return _json(200, listed(found.kind, items, metadata, partial=metadata_only(request.accept)))

    def _create(self, request: Request, found: Target) -> Response:
        if found.kind.namespaced and not found.namespace:
            raise method_not_allowed()
        created = self._registry.create(found.kind, found.namespace, _decoded(request), _options(found))
        return self._show(request, found, created, 201)

    def _replace(self, request: Request, found: Target) -> Response:
        options = _options(found)
        return self._show(
            request, found, self._registry.replace(found.kind, found.namespace, found.name, _decoded(request), options)
        )

    def _patch(self, request: Request, found: Target) -> Response:
        kind, namespace, name = found.kind, found.namespace, found.name
        options, content = _options(found), request.content_type.partition(";")[0].strip()
        body = _decoded(request)
        if content == "application/apply-patch+yaml":
            if not found.query.get("fieldManager"):
                message = "Required value: is required for apply patch"
                raise invalid_options("PatchOptions", "fieldManager", "FieldValueRequired", message)
            applied, created = self._registry.apply(kind, namespace, name, body, options)
            return self._show(request, found, applied, 201 if created else 200)
        if content == "application/json-patch+json":
            patched = self._registry.patch(kind, namespace, name, lambda old: json_patched(old, body), options)
        elif content == "application/merge-patch+json":
            patched = self._registry.patch(kind, namespace, name, lambda old: merge_patched(old, body), options)
        else:
            raise RefusalError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})
        return self._show(request, found, patched)

    def _delete(self, request: Request, found: Target) -> Response:
        last, gone = self._registry.delete(found.kind, found.namespace, found.name, _deletion(request, found))
        if not gone:
            return self._show(request, found, last)
        details: Manifest = {"name": found.name, "kind": found.kind.plural, "uid": last["metadata"]["uid"]}
        if found.kind.group:
            details["group"] = found.kind.group
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
        return _json(200, status)

    def _delete_all(self, request: Request, found: Target) -> Response:
        selects, deletion = selecting(found.kind, found.query), _deletion(request, found)
        items = [
            item for item in self._registry.storage.values(found.kind.collection, found.namespace) if selects(item)
        ]
        for item in items:
            metadata = item["metadata"]
            if not deletion.dry_run:
                self._registry.discard(
                    found.kind, metadata.get("namespace", ""), metadata["name"], deletion.propagation
                )
        version = {"resourceVersion": str(self._registry.storage.version)}
        return _json(200, listed(found.kind, items, version, partial=metadata_only(request.accept)))

    def _show(self, request: Request, found: Target, manifest: Manifest, status: int = 200) -> Response:
        return _json(status, shown(found.kind, manifest, partial=metadata_only(request.accept)))

    _Verb = Callable[["Answers", Request, Target], Response]
    _ONE: Mapping[str, _Verb] = {"GET": _get, "PUT": _replace, "PATCH": _patch, "DELETE": _delete}
    _MANY: Mapping[str, _Verb] = {"GET": _list, "POST": _create, "DELETE": _delete_all}


def refused(refusal: RefusalError) -> Response:
    """A refusal as an answer."""
    return _json(refusal.status, refusal.body())


def _json(status: int, body: Manifest, content_type: str = "application/json") -> Response:
    return Response(status, {"content-type": content_type}, orjson.dumps(body))


def _decoded(request: Request) -> Any:
    if not request.body:
        return None
    try:
        return orjson.loads(request.body)
    except orjson.JSONDecodeError as error:
        if "yaml" not in request.content_type:
            raise bad_request(f"invalid JSON: {error}") from error
    try:
        return yaml.safe_load(request.body)
    except yaml.YAMLError as error:
        raise bad_request(f"error decoding YAML: {error}") from error


def _options(found: Target) -> Options:
    query = found.query
    return Options(
        manager=query.get("fieldManager") or "unknown",
        subresource=found.subresource,
        dry_run=found.dry_run,
        force=query.get("force") == "true",
    )


def _deletion(request: Request, found: Target) -> Deletion:
    options = _decoded(request) or {}
    preconditions = options.get("preconditions") or {}
    policy = options.get("propagationPolicy") or found.query.get("propagationPolicy") or ""
    if policy not in _POLICIES:
        message = f'Unsupported value: "{policy}": supported values: "Foreground", "Background", "Orphan", "nil"'
        raise invalid_options("DeleteOptions", "propagationPolicy", "FieldValueNotSupported", message)
    return Deletion(
        uid=preconditions.get("uid") or "",
        resource_version=preconditions.get("resourceVersion") or "",
        propagation=policy,
        dry_run=found.dry_run or options.get("dryRun") == ["All"],
    )
