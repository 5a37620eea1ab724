"""One JSON patch operation on a document, with errors that say what to do (RFC 6902, by the jsonpatch library)."""

from typing import Any

import orjson
from jsonpatch import JsonPatchException, apply_patch
from jsonpointer import JsonPointerException


class PatchError(Exception):
    """The operation does not fit the document; the message says why and what to do."""


def patched(document: Any, *, operator: str, path: str, value: Any) -> Any:
    """The document after one operation; edited in place unless the path is the whole document.

    The value is copied: the policy that it comes from stays as it is when a later operation edits inside of it.
    Raises PatchError.
    """
    operation: dict[str, Any] = {"op": operator, "path": path}
    if operator != "remove":
        operation["value"] = orjson.loads(orjson.dumps(value)) if isinstance(value, dict | list) else value
    try:
        return apply_patch(document, [operation], in_place=True)
    except (JsonPatchException, JsonPointerException, TypeError, KeyError, IndexError, AttributeError) as error:
        raise PatchError(_advice(operator, path)) from error


def _advice(operator: str, path: str) -> str:
    match operator:
        case "add":
            parent = path.rpartition("/")[0] or path
            return f"{path} cannot be added, because {parent} does not exist or cannot hold it; add {parent} first"
        case "replace":
            return f"{path} does not exist, so it cannot be replaced; use operator add, or correct the path"
        case _:
            return f"{path} does not exist, so it cannot be removed; correct the path, or drop this operation"
