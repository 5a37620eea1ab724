"""Image references: `[registry/]repository[:tag][@digest]`, taken apart and put together again.

Grammar: the reference grammar of the distribution project. The part before the first / is a registry if it has a dot, a
colon, or is `localhost`, as container runtimes decide it. A reference that has both tag and digest keeps both.
"""

import re
from dataclasses import dataclass, replace

_DOMAIN = (
    r"(?:\[[a-fA-F0-9:]+\]"
    r"|(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*)"
    r"(?::[0-9]+)?"
)
_PART = r"[a-z0-9]+(?:(?:[._]|__|[-]+)[a-z0-9]+)*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REFERENCE = re.compile(
    rf"(?P<name>(?:{_DOMAIN}/)?{_PART}(?:/{_PART})*)(?::(?P<tag>{_TAG}))?(?:@(?P<digest>{_DIGEST}))?"
)
_ANY_TAG = re.compile(_TAG)
_ANY_DIGEST = re.compile(_DIGEST)


@dataclass(frozen=True, slots=True)
class ImageReference:
    """The parts of an image reference; empty for a part that is not there."""

    registry: str
    repository: str
    tag: str
    digest: str

    def __str__(self) -> str:
        name = f"{self.registry}/{self.repository}" if self.registry else self.repository
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{name}{tag}{digest}"

    @property
    def version(self) -> str:
        """The tag, or the digest where there is no tag."""
        return self.tag or self.digest

    def with_version(self, text: str) -> "ImageReference":
        """Set tag or digest, whichever `text` is; the other one goes. Text that is neither changes nothing."""
        if is_tag(text):
            return replace(self, tag=text, digest="")
        if is_digest(text):
            return replace(self, tag="", digest=text)
        return self


def parse_image(text: str) -> ImageReference | None:
    """Take a reference apart; None if it is not one."""
    match = _REFERENCE.fullmatch(text)
    if match is None:
        return None
    first, slash, rest = match["name"].partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        registry, repository = first, rest
    else:
        registry, repository = "", match["name"]
    return ImageReference(
        registry=registry, repository=repository, tag=match["tag"] or "", digest=match["digest"] or ""
    )


def is_tag(text: str) -> bool:
    """Whether a text is a tag."""
    return _ANY_TAG.fullmatch(text) is not None


def is_digest(text: str) -> bool:
    """Whether a text is a digest (`sha256:...`)."""
    return _ANY_DIGEST.fullmatch(text) is not None
