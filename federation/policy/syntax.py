"""The syntax rules of Kubernetes that policies share: label keys and values, JSON pointers.

Source: apimachinery `IsQualifiedName`, `IsValidLabelValue`; RFC 6901. Each function returns what is wrong in words, or None.
"""

import re
from functools import lru_cache

_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_BAD_ESCAPE = re.compile(r"~(?![01])")

NAME_MAX = 63
"""Characters in the name part of a label key, and in a label value."""
PREFIX_MAX = 253
"""Characters in the prefix of a label key."""


@lru_cache(maxsize=4096)
def label_key_problem(key: str) -> str | None:
    """What is wrong with a label key (a qualified name: `[prefix/]name`), or None."""
    prefix, slash, name = key.rpartition("/")
    if slash and not prefix:
        return "the prefix before / must not be empty"
    if prefix and (len(prefix) > PREFIX_MAX or not _SUBDOMAIN.fullmatch(prefix)):
        return f"the prefix {prefix} must be a lower-case DNS name of at most {PREFIX_MAX} characters"
    if not name:
        return "the name must not be empty"
    if len(name) > NAME_MAX:
        return f"the name has {len(name)} characters, at most {NAME_MAX} are allowed"
    if not _NAME.fullmatch(name):
        return "the name may hold letters, digits, - _ . and must start and end with a letter or digit"
    return None


@lru_cache(maxsize=4096)
def label_value_problem(value: str) -> str | None:
    """What is wrong with a label value, or None. The empty value is valid."""
    if len(value) > NAME_MAX:
        return f"the value has {len(value)} characters, at most {NAME_MAX} are allowed"
    if value and not _NAME.fullmatch(value):
        return "the value may hold letters, digits, - _ . and must start and end with a letter or digit"
    return None


def pointer_problem(pointer: str) -> str | None:
    """What is wrong with a JSON pointer, or None. The empty pointer (the whole document) is valid."""
    if pointer and not pointer.startswith("/"):
        return "a JSON pointer starts with /"
    if _BAD_ESCAPE.search(pointer):
        return "in a JSON pointer ~ is written ~0 and / inside a key is written ~1"
    return None
