"""What validation reports: the rule that is broken, the field, and what to do."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule. `rule` is a stable id (karmada.md 6.3), `field` a path from `spec`, `message` names the fix."""

    rule: str
    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"
