"""One override rule at work: where it stands in its policy, what it did, and the error that names both.

Handed to every overrider, so that all of them report alike.
"""

from dataclasses import dataclass, field
from typing import NoReturn

SHOWN_MAX = 128
"""Characters of a value that a line shows: these lines end up in statuses."""


class OverrideError(Exception):
    """An override cannot be applied. `policy` is its kind and name, `field` the path of the overrider in its spec."""

    def __init__(self, policy: str, field: str, message: str) -> None:
        super().__init__(f"{policy}: {field}: {message}")
        self.policy = policy
        self.field = field
        self.message = message


@dataclass(slots=True)
class Rule:
    """The rule that is being applied. `path` is its overriders field in the spec of the policy."""

    policy: str
    index: int
    path: str
    secret: bool = False
    """The object holds secrets: no value of it is shown (I16)."""
    applied: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Record what was changed."""
        self.applied.append(f"{self.policy} rule {self.index}: {text}")

    def fail(self, where: str, message: str) -> NoReturn:
        """Raise the OverrideError of the overrider at `where` below the rule."""
        raise OverrideError(self.policy, f"{self.path}.{where}", message)

    def shown(self, text: str) -> str:
        """A value as a line may show it: cut, and hidden where the object is a Secret."""
        if self.secret:
            return "(hidden)"
        return text if len(text) <= SHOWN_MAX else text[:SHOWN_MAX] + "..."
