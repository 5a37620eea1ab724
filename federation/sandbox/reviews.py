"""Requests that store nothing: tokens of service accounts, and reviews of who may do what."""

import base64
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import orjson

from federation.api.meta import Manifest

Access = Callable[[Manifest], bool]
"""Whether the attributes of a SelfSubjectAccessReview (`resourceAttributes` or `nonResourceAttributes`) are allowed."""


def token_request(account: Manifest, request: Manifest, now: datetime) -> Manifest:
    """The answer to a TokenRequest: a token that looks like one and that nobody checks."""
    spec = request.get("spec") or {}
    seconds = int(spec.get("expirationSeconds") or 3600)
    expires = (now + timedelta(seconds=seconds)).astimezone(UTC)
    metadata = account["metadata"]
    claims = {
        "sub": f"system:serviceaccount:{metadata['namespace']}:{metadata['name']}",
        "aud": spec.get("audiences") or ["https://kubernetes.default.svc"],
        "iat": int(now.timestamp()),
        "exp": int(expires.timestamp()),
        "jti": secrets.token_hex(8),
        "kubernetes.io": {
            "namespace": metadata["namespace"],
            "serviceaccount": {"name": metadata["name"], "uid": metadata["uid"]},
        },
    }
    token = ".".join(_part(part) for part in ({"alg": "none", "typ": "JWT"}, claims, {}))
    status = {"token": token, "expirationTimestamp": expires.strftime("%Y-%m-%dT%H:%M:%SZ")}
    head = {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1"}
    names = {"name": metadata["name"], "namespace": metadata["namespace"], "creationTimestamp": None}
    audiences = {"audiences": claims["aud"], "expirationSeconds": seconds}
    return {**head, "metadata": names, "spec": {**spec, **audiences}, "status": status}


def _part(claims: Manifest) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(claims)).decode().rstrip("=")


def review(plural: str, request: Manifest, access: Access) -> Manifest | None:
    """The answer to a review; None for what is no review."""
    if plural == "selfsubjectaccessreviews":
        spec = request.get("spec") or {}
        allowed = access(spec.get("resourceAttributes") or spec.get("nonResourceAttributes") or {})
        return {**request, "status": {"allowed": allowed}}
    if plural == "selfsubjectreviews":
        return {**request, "status": {"userInfo": {"username": "sandbox", "groups": ["system:authenticated"]}}}
    return None
