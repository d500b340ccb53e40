"""What pydantic says about a configuration, in sentences a person can act on.

Each names the file and line (or the option), the key, what was given and what is expected.
Pure Python; never imports Spark.
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from ebb.durations import DURATION_HELP, INSTANT_HELP
from ebb.yaml_lines import Document, Path, dotted, show

_EXPECTED = {
    "string_type": "text (in quotes if it looks like something else)",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "dict_type": "a section of `key: value` lines",
    "model_type": "a section of `key: value` lines",
    "model_attributes_type": "a section of `key: value` lines",
    "tuple_type": "a list",
    "list_type": "a list",
}
_BOUNDS = {
    "greater_than": ("gt", "a number above"),
    "greater_than_equal": ("ge", "a number of at least"),
    "less_than": ("lt", "a number below"),
    "less_than_equal": ("le", "a number of at most"),
}
_TYPES = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


class _Mistake:
    """One error of pydantic's, at the path that the user wrote."""

    def __init__(self, error: Mapping[str, Any], document: Document) -> None:
        self.type: str = error["type"]
        self.message: str = error["msg"].removeprefix("Value error, ")
        self.context: Mapping[str, Any] = error.get("ctx", {})
        self.input: Any = error["input"]
        self.path = _written_path(error, document.content)
        # A union's members each complain: their names are in loc, and not in what was written.
        self.in_union = len(self.path) < len(error["loc"])


def sentences(error: ValidationError, model: type[BaseModel], document: Document) -> list[str]:
    """Turn a ValidationError of `model` over `document` into one sentence a mistake."""
    mistakes = [_Mistake(e, document) for e in error.errors(include_url=False)]
    kept: dict[Path, list[_Mistake]] = {}
    for mistake in mistakes:
        deeper = any(_is_below(other.path, mistake.path) for other in mistakes)
        # A list whose members failed is reported too short as well, a section that failed is
        # reported as none of the union's other members: only the deeper mistake is the user's.
        if deeper and (mistake.type == "too_short" or mistake.in_union):
            continue
        kept.setdefault(mistake.path, []).append(mistake)
    return [_sentence(path, group, model, document) for path, group in kept.items()]


def _sentence(path: Path, group: list[_Mistake], model: type[BaseModel], document: Document) -> str:
    where, key, first = document.where(path), dotted(path), group[0]
    if first.type == "missing":
        return f"{where}: {key} is missing, expected {_describe(path, model, document)}"
    if first.type == "union_tag_not_found":
        tag = first.context["discriminator"].strip("'")
        choices = _tags(path, tag, model)
        return f"{where}: {key}.{tag} is missing, expected {_one_of(choices)}"
    if first.type == "union_tag_invalid":
        tag = first.context["discriminator"].strip("'")
        choices, given = _tags(path, tag, model), first.context["tag"]
        where = document.where((*path, tag))
        return (
            f"{where}: {key}.{tag} is {show(given)}, expected {_one_of(choices)}"
            f"{_near(given, choices)}"
        )
    if first.type == "extra_forbidden":
        names = sorted(_fields(path[:-1], model, document))
        near = _near(str(path[-1]), names, cutoff=0.75)
        known = near or f", expected {_one_of(names)}"
        return f"{where}: {key} is not a setting{known}"
    if first.type == "value_error":
        return _of_a_validator(path, first, model, document)
    expected = " or ".join(dict.fromkeys(_expectation(m) for m in group))
    choices = [c for m in group if m.type == "literal_error" for c in _quoted(m)]
    return (
        f"{where}: {key} is {show(first.input)}, expected {expected}{_near(first.input, choices)}"
    )


def _of_a_validator(
    path: Path, mistake: _Mistake, model: type[BaseModel], document: Document
) -> str:
    """Messages of config.py's own validators: about a value, or about a section's parts."""
    message, key = mistake.message, dotted(path)
    first, _, rest = message.partition(" ")
    if message.startswith("expected "):
        return f"{document.where(path)}: {key} is {show(mistake.input)}, {message}"
    if message.startswith("has no zone; "):
        tail = message.removeprefix("has no zone; ")
        return f"{document.where(path)}: {key} is {show(mistake.input)}, without a zone; {tail}"
    part = tuple(first.split("."))
    if part[0] in _fields(path, model, document):
        whole = (*path, *part)
        return f"{document.where(whole)}: {dotted(whole)} {rest}"
    colon = "" if first in ("needs", "gives", "names", "has") else ":"
    return (
        f"{document.where(path)}: {key}{colon} {message}"
        if key
        else (f"{document.where(path)}: {message}")
    )


def _expectation(mistake: _Mistake) -> str:
    if mistake.type == "literal_error":
        return _one_of(_quoted(mistake))
    if mistake.type in _BOUNDS:
        name, words = _BOUNDS[mistake.type]
        return f"{words} {mistake.context[name]}"
    if mistake.type == "too_short":
        return f"at least {mistake.context['min_length']} entry"
    return _EXPECTED.get(mistake.type, mistake.message)


def _quoted(mistake: _Mistake) -> list[str]:
    """The choices out of pydantic's ``'csv', 'jsonl' or 'parquet'``."""
    return mistake.context["expected"].split("'")[1::2]  # type: ignore[no-any-return]


def _one_of(names: Iterable[str]) -> str:
    listed = list(names)
    return listed[0] if len(listed) == 1 else f"one of {', '.join(listed)}"


def _near(given: Any, names: Iterable[str], cutoff: float = 0.6) -> str:
    close = get_close_matches(given, list(names), 1, cutoff) if isinstance(given, str) else []
    return f"; did you mean {close[0]}?" if close else ""


def _is_below(path: Path, other: Path) -> bool:
    return len(path) > len(other) and path[: len(other)] == other


def _written_path(error: Mapping[str, Any], content: Any) -> Path:
    """pydantic's loc without the names of union members that it puts in between."""
    path: list[str | int] = []
    here, loc = content, error["loc"]
    for position, element in enumerate(loc):
        last = position == len(loc) - 1
        in_list = isinstance(here, list) and isinstance(element, int) and element < len(here)
        if in_list or (isinstance(here, Mapping) and element in here):
            here = here[element]
        elif not (last and error["type"] == "missing"):
            continue
        path.append(element)
    return tuple(path)


# ------------------------------------------------------------------ walking the model
def _members(annotation: Any) -> list[Any]:
    """The alternatives of an annotation: ``A | None`` and ``Annotated[A | B, ...]`` taken apart."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _members(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return [member for a in get_args(annotation) for member in _members(a)]
    return [annotation]


def _step(annotation: Any, element: str | int) -> list[Any]:
    origin = get_origin(annotation)
    if origin is tuple and isinstance(element, int):
        return _members(get_args(annotation)[0])
    if origin is dict and isinstance(element, str):
        return _members(get_args(annotation)[1])
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        field = annotation.model_fields.get(str(element))
        return _members(field.annotation) if field else []
    return []


def _at(path: Path, model: type[BaseModel]) -> list[Any]:
    """The annotations that the model allows at a path."""
    here: list[Any] = [model]
    for element in path:
        here = [following for annotation in here for following in _step(annotation, element)]
    return here


def _models_at(path: Path, model: type[BaseModel]) -> list[type[BaseModel]]:
    return [a for a in _at(path, model) if isinstance(a, type) and issubclass(a, BaseModel)]


def _fields(path: Path, model: type[BaseModel], document: Document) -> set[str]:
    """Names of the settings at a path; of a tagged section only those of its own kind."""
    here: Any = document.content
    for element in path:
        here = here[element]
    chosen = [
        m
        for m in _models_at(path, model)
        if not isinstance(here, Mapping)
        or all(
            here[name] in get_args(field.annotation)
            for name, field in m.model_fields.items()
            if get_origin(field.annotation) is Literal
            and len(get_args(field.annotation)) == 1
            and isinstance(here.get(name), str)
        )
    ]
    return {name for m in chosen for name in m.model_fields}


def _tags(path: Path, tag: str, model: type[BaseModel]) -> list[str]:
    """The values that a tagged union's tag may have, in the order of the union."""
    return [
        value
        for m in _models_at(path, model)
        if tag in m.model_fields
        for value in get_args(m.model_fields[tag].annotation)
    ]


def _describe(path: Path, model: type[BaseModel], document: Document) -> str:
    """What belongs at a path, in words."""
    return " or ".join(dict.fromkeys(map(_in_words, _at(path, model)))) or "a value"


def _in_words(annotation: Any) -> str:
    if annotation is timedelta:
        return DURATION_HELP
    if annotation is datetime:
        return INSTANT_HELP
    if get_origin(annotation) is Literal:
        return _one_of(map(str, get_args(annotation)))
    if get_origin(annotation) is tuple:
        return "a list"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        needed = [name for name, f in annotation.model_fields.items() if f.is_required()]
        return f"a section with {', '.join(needed)}" if needed else "a section"
    return _TYPES.get(annotation, "a section of `key: value` lines")
