"""Lines about templates, kept by policy for its status until the template is looked at again. Pure.

What is forgotten leaves nothing behind: policies and templates come and go for as long as the process lives (I17).
"""

from collections.abc import Mapping

TemplateKey = tuple[str, str, str, str]
"""(apiVersion, kind, namespace, name)"""


class Notes:
    """Text -> value, by the UID of a policy and the template that each text is about."""

    def __init__(self) -> None:
        self._notes: dict[str, dict[str, str]] = {}
        self._places: dict[TemplateKey, list[tuple[str, str]]] = {}
        """Template -> (policy UID, text) of its notes."""

    def of(self, uid: str) -> Mapping[str, str]:
        """The notes of one policy."""
        return self._notes.get(uid, {})

    def add(self, key: TemplateKey, uid: str, text: str, value: str) -> None:
        """Note something about a template."""
        self._notes.setdefault(uid, {})[text] = value
        self._places.setdefault(key, []).append((uid, text))

    def forget(self, key: TemplateKey) -> None:
        """Drop what was noted about a template."""
        for uid, text in self._places.pop(key, []):
            notes = self._notes.get(uid, {})
            notes.pop(text, None)
            if not notes:
                self._notes.pop(uid, None)
