"""JSON patch and JSON merge patch; the strategic merge patch of kubectl is not spoken here."""

import copy
from typing import Any

import jsonpatch
import jsonpointer

from federation.api.meta import Manifest
from federation.sandbox.refusals import bad_patch, bad_request


def json_patched(manifest: Manifest, operations: Any) -> Manifest:
    """RFC 6902. Raises 422 for a failed `test` or a path that is not there, 400 for what is no patch."""
    if not isinstance(operations, list):
        raise bad_request("a JSON patch is a list of operations")
    try:
        patch = jsonpatch.JsonPatch(operations)
        patched = patch.apply(copy.deepcopy(manifest))
    except jsonpatch.InvalidJsonPatch as error:
        raise bad_request(str(error)) from error
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as error:
        raise bad_patch() from error
    if not isinstance(patched, dict):
        raise bad_patch()
    return patched


def merge_patched(manifest: Manifest, patch: Any) -> Manifest:
    """RFC 7386."""
    if not isinstance(patch, dict):
        raise bad_request("a merge patch is an object")
    merged: Manifest = _merge(manifest, patch)
    return merged


def _merge(value: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged = dict(value) if isinstance(value, dict) else {}
    for key, child in patch.items():
        if child is None:
            merged.pop(key, None)
        else:
            merged[key] = _merge(merged.get(key), child)
    return merged
