"""The answers of an API server that refuses, as exceptions with the words and the reasons of the real one.

Only the shapes: who refuses what is decided elsewhere.
"""

from typing import Any

from federation.api.meta import Manifest
from federation.sandbox.kinds import Kind


class RefusalError(Exception):
    """A request that is answered with a Status of `status`."""

    def __init__(self, status: int, reason: str, message: str, details: Manifest | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.details = details

    def body(self) -> Manifest:
        """The Status object."""
        body: Manifest = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        body["message"] = self.message
        if self.reason:
            body["reason"] = self.reason
        if self.details is not None:
            body["details"] = self.details
        return {**body, "code": self.status}


def no_such_path() -> RefusalError:
    """404 for a kind or a path that nobody serves; unlike for a missing object, `details` names nothing."""
    return RefusalError(404, "NotFound", "the server could not find the requested resource", {})


def not_found(kind: Kind, name: str) -> RefusalError:
    """404 for a missing object."""
    return RefusalError(404, "NotFound", f'{kind.qualified} "{name}" not found', _details(kind, name))


def already_exists(kind: Kind, name: str) -> RefusalError:
    """409 for a name that is taken."""
    return RefusalError(409, "AlreadyExists", f'{kind.qualified} "{name}" already exists', _details(kind, name))


def modified(kind: Kind, name: str) -> RefusalError:
    """409 for a resourceVersion that is not the object's."""
    why = "the object has been modified; please apply your changes to the latest version and try again"
    return conflict(kind, name, why)


def conflict(kind: Kind, name: str, why: str) -> RefusalError:
    """409 for a precondition that does not hold."""
    message = f'Operation cannot be fulfilled on {kind.qualified} "{name}": {why}'
    return RefusalError(409, "Conflict", message, _details(kind, name))


def precondition(kind: Kind, name: str, what: str, asked: str, found: str) -> RefusalError:
    """409 for a precondition of a deletion."""
    why = f"the {what} in the precondition ({asked}) does not match the {what} in record ({found})"
    return conflict(kind, name, f"{why}. The object might have been deleted and then recreated")


def invalid(kind: Kind, name: str, field: str, reason: str, message: str) -> RefusalError:
    """422 for a field of an object."""
    details: Manifest = {"name": name, "kind": kind.kind}
    if kind.group:
        details["group"] = kind.group
    details["causes"] = [{"reason": reason, "message": message, "field": field}]
    return RefusalError(422, "Invalid", f'{kind.kind} "{name}" is invalid: {field}: {message}', details)


def invalid_options(options: str, field: str, reason: str, message: str) -> RefusalError:
    """422 for the options of a request."""
    causes = [{"reason": reason, "message": message, "field": field}]
    details = {"group": "meta.k8s.io", "kind": options, "causes": causes}
    return RefusalError(422, "Invalid", f'{options}.meta.k8s.io "" is invalid: {field}: {message}', details)


def bad_patch() -> RefusalError:
    """422 for a patch that cannot be applied to the object, a failed `test` among them."""
    return RefusalError(422, "Invalid", "the server rejected our request due to an error in our request", {})


def bad_request(message: str) -> RefusalError:
    """400."""
    return RefusalError(400, "BadRequest", message)


def terminating(kind: Kind, name: str, namespace: str) -> RefusalError:
    """403 for a creation in a namespace that is being deleted."""
    why = f"unable to create new content in namespace {namespace} because it is being terminated"
    cause = {"reason": "NamespaceTerminating", "message": f"namespace {namespace} is being terminated"}
    details = {**_details(kind, name), "causes": [{**cause, "field": "metadata.namespace"}]}
    return RefusalError(403, "Forbidden", f'{kind.qualified} "{name}" is forbidden: {why}', details)


def method_not_allowed() -> RefusalError:
    """405."""
    message = "the server does not allow this method on the requested resource"
    return RefusalError(405, "MethodNotAllowed", message, {})


def expired(message: str) -> RefusalError:
    """410 for a resourceVersion or a continue token that is too old."""
    return RefusalError(410, "Expired", message)


def too_new(asked: int, current: int) -> RefusalError:
    """504 for a resourceVersion that this server has not reached."""
    causes: list[dict[str, Any]] = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    details = {"causes": causes, "retryAfterSeconds": 1}
    return RefusalError(504, "Timeout", f"Timeout: Too large resource version: {asked}, current: {current}", details)


def _details(kind: Kind, name: str) -> Manifest:
    details: Manifest = {"name": name, "kind": kind.plural}
    if kind.group:
        details["group"] = kind.group
    return details
