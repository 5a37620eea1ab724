"""Lines about templates, kept by policy for its status until the template is looked at again. Pure.

What is forgotten leaves nothing behind: policies and templates come and go for as long as the process lives (I17).
"""

from collections.abc import Mapping

TemplateKey = tuple[str, str, str, str]
"""(apiVersion, kind, namespace, name)"""
PolicyKey = tuple[str, str, str]
"""(kind, namespace, name)"""


class Notes:
    """Text -> value, by policy and by the template that each text is about."""

    def __init__(self) -> None:
        self._notes: dict[PolicyKey, dict[str, str]] = {}
        self._places: dict[TemplateKey, list[tuple[PolicyKey, str]]] = {}
        """Template -> (policy, text) of its notes."""

    def of(self, policy: PolicyKey) -> Mapping[str, str]:
        """The notes of one policy."""
        return self._notes.get(policy, {})

    def knows(self, key: TemplateKey) -> bool:
        """Whether something is noted about a template."""
        return key in self._places

    def add(self, key: TemplateKey, policy: PolicyKey, text: str, value: str) -> None:
        """Note something about a template."""
        self._notes.setdefault(policy, {})[text] = value
        self._places.setdefault(key, []).append((policy, text))

    def forget(self, key: TemplateKey) -> set[PolicyKey]:
        """Drop what was noted about a template; the policies for which it was."""
        places = self._places.pop(key, [])
        for policy, text in places:
            notes = self._notes.get(policy, {})
            notes.pop(text, None)
            if not notes:
                self._notes.pop(policy, None)
        return {policy for policy, _ in places}
