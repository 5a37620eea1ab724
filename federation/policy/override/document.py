"""JSON and YAML documents that are kept as text inside a field: read and written back.

JSON keeps the order of its keys and comes back without spaces. YAML comes back as Kubernetes' own library writes it: keys
sorted, two-space indent, comments lost, ambiguous texts in double quotes, a trailing newline. Only JSON types are
understood: a YAML time stamp is text, a key is text.
"""

import json
import math
import re
from typing import Any, NoReturn

import yaml

NODES_MAX = 1_000_000
"""Values in one document after its YAML aliases are written out: a small text can stand for a huge document."""


class DocumentError(Exception):
    """The text is not a document of its format, or too large; the message says where."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML 1.1 without time stamps."""


_Loader.yaml_implicit_resolvers = {
    first: [entry for entry in resolvers if entry[0] != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class _Dumper(yaml.SafeDumper):
    """Texts that would be read as something else in double quotes, texts of several lines as blocks."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the signature is PyYAML's
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    tag = "tag:yaml.org,2002:str"
    if "\n" in text:
        style: str | None = "|"
    else:
        read_as = dumper.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
        style = None if read_as == tag else '"'
    return dumper.represent_scalar(tag, text, style=style)


_Dumper.add_representer(str, _represent_text)


def read_json(text: str) -> Any:
    """The value of a JSON text. Raises DocumentError."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        # The cause is left out of the chain: a traceback of it would show the text (I16).
        raise DocumentError(f"it is not JSON: {_place(error)}") from None


def write_json(value: Any) -> str:
    """JSON without spaces, keys in the order they have."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def read_yaml(text: str) -> Any:
    """The value of a YAML text with one document, as JSON types. Raises DocumentError."""
    try:
        loader = _Loader(text)
        try:
            value = loader.get_single_data()
        finally:
            loader.dispose()
        return _JsonTypes().convert(value)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DocumentError(f"it is not one YAML document: {_place(error)}") from None


def write_yaml(value: Any) -> str:
    """YAML with sorted keys, two-space indent and a trailing newline."""
    text = yaml.dump(value, Dumper=_Dumper, default_flow_style=False, allow_unicode=True, width=math.inf)
    # PyYAML ends a document that is a bare scalar with an end marker.
    return re.sub(r"\n\.\.\.\n\Z", "\n", text)


class _JsonTypes:
    """Converts what YAML yields into JSON types, counting values so that aliases cannot multiply without bound."""

    def __init__(self) -> None:
        self._nodes = 0

    def convert(self, value: Any) -> Any:
        self._nodes += 1
        if self._nodes > NODES_MAX:
            raise DocumentError(f"it has more than {NODES_MAX} values once its aliases are written out")
        if isinstance(value, dict):
            return {self._key(key): self.convert(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.convert(item) for item in value]
        if value is None or isinstance(value, str | bool | int | float):
            return value
        raise DocumentError(f"a value of type {type(value).__name__} has no form in JSON")

    def _key(self, key: Any) -> str:
        if isinstance(key, str):
            return key
        if isinstance(key, bool):
            return "true" if key else "false"
        if isinstance(key, int | float):
            return str(key)
        raise DocumentError("a key is not text")


def _refuse_constant(name: str) -> NoReturn:
    raise DocumentError(f"it is not JSON: {name} is no number there")


def _place(error: Exception) -> str:
    """What is wrong and in which line, without quoting the text: it may hold secrets (I16)."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} in line {error.lineno}"
    mark = getattr(error, "problem_mark", None)
    problem = str(getattr(error, "problem", None) or type(error).__name__)
    return f"{problem} in line {mark.line + 1}" if mark is not None else problem
