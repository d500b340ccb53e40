"""YAML that remembers where each value stands, so that an error can name the line.

Differs from plain PyYAML on purpose: a key given twice is refused, ``${VAR}`` is filled in from
the environment, and words mean what they look like (``no`` is text, ``2026-02-25`` is text,
``010`` is text), as in YAML 1.2. Pure Python; never imports Spark.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from ebb.errors import ConfigError

Path = tuple[str | int, ...]

_VARIABLE = re.compile(r"\$\$\{|\$\{([^}]*)\}")
_REFERENCE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
_KEY_STEP = re.compile(r"\.?(?:\"([^\"]+)\"|([^\s.\[\]=\"]+))|\[(\d+)\]")
_PLAIN_KEY = re.compile(r"[^\s.\[\]=\"']+")
_TAG = "tag:yaml.org,2002:"


class _Loader(yaml.SafeLoader):
    """PyYAML's scanner with the plain words of YAML 1.2."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


for _name, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(0|[1-9][0-9]*)", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan",
        list("-+.0123456789"),
    ),
):
    _Loader.add_implicit_resolver(f"{_TAG}{_name}", re.compile(f"^(?:{_pattern})$"), _first)


@dataclass
class Document:
    """A tree of plain Python values and where each came from.

    Attributes
    ----------
    name : the file, as the user wrote it.
    content : mappings, lists, texts, numbers, booleans and None.
    lines : path of a value to its line in the file.
    options : path of a value to the option of the command line that set it.
    """

    name: str
    content: dict[str, Any]
    lines: dict[Path, int] = field(default_factory=dict)
    options: dict[Path, str] = field(default_factory=dict)

    def where(self, path: Path) -> str:
        """Where the value at `path`, or else the nearest one around it, was given."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.options:
                return self.options[path[:length]]
            if path[:length] in self.lines:
                return f"{self.name}, line {self.lines[path[:length]]}"
        return self.name

    def set(self, path: Path, value: Any, option: str) -> None:
        """Put `value` at `path` on behalf of an option; sections on the way are made.

        Raises
        ------
        ConfigError
            When the path goes through something that is no section, or beyond a list's end.
        """
        here: Any = self.content
        for depth, (element, following) in enumerate(zip(path, (*path[1:], None), strict=True)):
            self._check_step(here, path[:depth], element, option)
            if following is None:
                here[element] = value
            elif isinstance(element, str) and here.get(element) is None:
                here[element] = {}
                self.options[path[: depth + 1]] = option
            here = here[element]
        for known in [p for p in self.lines if p[: len(path)] == path]:
            del self.lines[known]
        self.options[path] = option

    def _check_step(self, here: Any, path: Path, element: str | int, option: str) -> None:
        if isinstance(element, int):
            size = len(here) if isinstance(here, list) else 0
            if element >= size:
                raise ConfigError(
                    f"{option}: {dotted((*path, element))} does not exist, since {self.name} "
                    f"lists {size} there; set the whole list instead: --set '{dotted(path)}=[…]'"
                )
        elif not isinstance(here, dict):
            raise ConfigError(f"{option}: {dotted(path)} is {show(here)}, which has no {element}")


def dotted(path: Path) -> str:
    """Write a path as people do: ``interests.measures[0].half_life``."""
    text = ""
    for element in path:
        if isinstance(element, int):
            text += f"[{element}]"
        else:
            plain = _PLAIN_KEY.fullmatch(element)
            text += ("." if text else "") + (element if plain else json.dumps(element))
    return text


def path_of(key: str, given: str) -> Path:
    """The path that `dotted` writes as `key`.

    Parameters
    ----------
    given : the option or the key, as an error is to begin.

    Raises
    ------
    ConfigError
        When it is no key.
    """
    path: list[str | int] = []
    position = 0
    for step in _KEY_STEP.finditer(key):
        if step.start() != position:
            break
        position = step.end()
        path.append(int(step[3]) if step[3] else step[1] or step[2])
    if position != len(key) or not path or isinstance(path[0], int) or key.startswith("."):
        raise ConfigError(
            f"{given}: is not a key, expected names with dots between them, e.g. "
            "recommend.n or interests.measures[0].half_life"
        )
    return tuple(path)


def show(value: Any) -> str:
    """Write a given value in a sentence: quoted text, a number, ``a section``, ``a list``."""
    if value is None:
        return "empty"
    if isinstance(value, Mapping):
        return "a section" if value else "an empty section"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f'{text[:76]}…"'


def parse(text: str, name: str, environment: Mapping[str, str]) -> Document:
    """Read a YAML text whose top is a section.

    Raises
    ------
    ConfigError
        One sentence a line: broken YAML, a key given twice, a variable that isn't set.
    """
    document = Document(name, {})
    root = _compose(text, name)
    if root is None:
        return document
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError(f"{name}: expected a section of `key: value` lines at the top")
    reader = _Reader(document, environment)
    document.content = reader.value(root, ())
    if reader.problems:
        raise ConfigError("\n".join(reader.problems))
    return document


def parse_value(text: str, option: str) -> Any:
    """Read the value of an option as YAML: ``3``, ``3d``, ``[a, b]``, ``{x: 1}``."""
    root = _compose(text, option)
    reader = _Reader(Document(option, {}), {})
    value = None if root is None else reader.value(root, ())
    if reader.problems:
        raise ConfigError("\n".join(reader.problems))
    return value


def _compose(text: str, name: str) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        hint = "; indent with spaces, not tabs" if "\\t" in str(error.problem) else ""
        raise ConfigError(f"{name}{line}: this is not YAML: {error.problem}{hint}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: this is not YAML: {str(error).splitlines()[0]}") from None


class _Reader:
    """Turns nodes into values, notes their lines, and collects what is wrong with them."""

    def __init__(self, document: Document, environment: Mapping[str, str]) -> None:
        self.document, self.environment = document, environment
        self.problems: list[str] = []
        self.around: list[yaml.Node] = []

    def value(self, node: yaml.Node, path: Path) -> Any:
        self.document.lines.setdefault(path, node.start_mark.line + 1)
        if any(outer is node for outer in self.around):
            self._problem(path, "contains itself")
            return None
        self.around.append(node)
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, path)
            if isinstance(node, yaml.SequenceNode):
                return [self.value(n, (*path, i)) for i, n in enumerate(node.value)]
            assert isinstance(node, yaml.ScalarNode)
            return self._scalar(node, path)
        finally:
            self.around.pop()

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        content: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._problem(path, f"has a key on line {line} that is not plain text")
                continue
            # A key is text whatever it looks like: an event type may be called 5 or true.
            key, below = key_node.value, (*path, key_node.value)
            if key in content:
                first = self.document.lines[below]
                self.problems.append(
                    f"{self.document.name}, line {line}: {dotted(below)} is given twice, "
                    f"first on line {first}; keep one"
                )
                continue
            self.document.lines[below] = line
            content[key] = self.value(value_node, below)
        return content

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        text, tag = node.value, node.tag
        if "${" in text:
            text = _VARIABLE.sub(lambda match: self._variable(match, path), text)
            if node.style is None:  # not in quotes: ${USERS:-1000} is a number
                tag = _Loader("").resolve(  # type: ignore[no-untyped-call]
                    yaml.ScalarNode, text, (True, False)
                )
        kind = tag.removeprefix(_TAG)
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        if kind == "int":
            return int(text)
        if kind == "float":
            return float(text.replace(".inf", "inf").replace(".nan", "nan"))
        if kind != "str":
            self._problem(path, f"has the tag {tag}, expected a plain value")
        return text

    def _variable(self, match: re.Match[str], path: Path) -> str:
        if match[0] == "$${":
            return "${"
        reference = _REFERENCE.fullmatch(match[1])
        if reference is None:
            self._problem(path, f"has {match[0]}, expected ${{NAME}} or ${{NAME:-default}}")
            return ""
        name, default = reference[1], reference[2]
        # As in a shell, `:-` also stands in for a variable that is set to nothing.
        given = self.environment.get(name)
        if given or (given is not None and default is None):
            return given
        if default is None:
            self._problem(
                path,
                f"needs the environment variable {name}, which is not set; set it, or write "
                f"${{{name}:-default}}",
            )
        return default or ""

    def _problem(self, path: Path, text: str) -> None:
        where = self.document.where(path)
        self.problems.append(f"{where}: {dotted(path)} {text}" if path else f"{where}: {text}")
