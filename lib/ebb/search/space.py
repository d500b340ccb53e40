"""What is searched: configuration keys with their values, and a configuration made of some of them.

Pure Python; never imports Spark or optuna.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ebb.config_errors import sentences
from ebb.durations import format_duration, parse_duration
from ebb.errors import ConfigError
from ebb.search.settings import Parameter, Range
from ebb.yaml_lines import Document, Path, dotted, path_of

if TYPE_CHECKING:
    from ebb.config import Config

Parameters = Mapping[str, Any]  # configuration key to a value as YAML has it
Raw = float | int | str  # a value as optuna has it: a choice as JSON, a duration in seconds

# What a trial may change. Elsewhere it would change nothing, or what slates are judged by.
OF_SLATES = (
    "train",
    "recommend.half_lives",
    "recommend.candidates",
    "recommend.strategy",
    "recommend.weights",
    "recommend.choose.nights",
    "recommend.choose.horizon",
    "recommend.choose.users",
    "recommend.choose.penalty",
)
# The same of what is foretold: elsewhere it would change what is foretold, or of whom.
OF_FORETELLING = tuple(
    f"foretell.{name}"
    for name in (
        "kind", "layers", "dimension", "dropout", "l2", "optimiser", "rate", "schedule", "epochs",
        "batch",
    )
)  # fmt: skip
_DIGITS = 3
_UNITS = {"d": 86_400.0, "h": 3_600.0, "min": 60.0, "s": 1.0}


def default_parameters(config: Config) -> dict[str, Parameter]:
    """What is searched where nothing is named: half-lives, the blend, and the models fitted."""
    found: dict[str, Parameter] = {}
    models, ranker = config.train.models, config.train.ranker
    if config.recommend.weights is None:  # which go by the names of half-lives
        found["recommend.half_lives.profile"] = (None, ["1d", "7d"], ["7d", "30d"], ["30d", "180d"])
        found["recommend.choose.penalty"] = Range(low=0.3, high=30.0, log=True)
    if {"neighbours", "ease"} & set(models):
        found["recommend.half_lives.similarity"] = (None, "1d", "7d", "30d", "180d")
    if "neighbours" in models:
        found["train.neighbours.shrinkage"] = (1, 10, 100)
    if "ease" in models:
        found["train.ease.regularization"] = (100, 300, 1_000)
    if "als" in models:
        found["recommend.half_lives.confidence"] = (None, "7d", "30d", "180d")
        found["train.als.alpha"] = (3, 10, 30)
    if ranker is not None:
        found["train.ranker.depth"] = (3, 4, 6)
        found["train.ranker.eta"] = Range(low=0.02, high=0.2, log=True)
    if config.train.sequences is not None:
        found["train.sequences.dropout"] = (0.1, 0.3, 0.5)
        found["train.sequences.rate"] = Range(low=0.0005, high=0.005, log=True)
    return found


def with_parameters(config: Config, parameters: Parameters, where: str = "search") -> Config:
    """The configuration with some of its settings replaced.

    Parameters
    ----------
    where : what an error says of where they were given.

    Raises
    ------
    ConfigError
        When the configuration refuses one of them; the sentence names its key.
    """
    if not parameters:
        return config
    document = Document(where, config.model_dump(mode="json", exclude={"search"}))
    for key, value in parameters.items():
        document.set(path_of(key, f"{where}: {key}"), value, where)
    kind = type(config)
    try:
        return kind.model_validate({**document.content, "search": config.search})
    except ValidationError as error:
        raise ConfigError("\n".join(sentences(error, kind, document))) from None


def check_parameters(config: Config, document: Document) -> None:
    """Refuse keys that can't be searched, and values that the configuration refuses.

    Parameters
    ----------
    document : what the configuration was read from, so that an error can name the line.
    """
    parameters = config.search.parameters or {}
    known = OF_FORETELLING if is_of_foretelling(parameters) else OF_SLATES
    for key, parameter in parameters.items():
        where = document.where(("search", "parameters", key))
        _check_key(key, known, f"{where}: {dotted(('search', 'parameters', key))}")
        for value in _examples(parameter):
            with_parameters(config, {key: value}, where)


def is_of_foretelling(parameters: Mapping[str, Parameter]) -> bool:
    """Whether trials are judged by what they foretell, and not by slates."""
    return any(key.startswith("foretell.") for key in parameters)


def _check_key(key: str, searched: tuple[str, ...], given: str) -> None:
    path = path_of(key, given)
    if any(isinstance(element, int) for element in path):
        raise ConfigError(f"{given} is one entry of a list, expected the key of the whole list")
    if not any(_is_below(path, path_of(known, known)) for known in searched):
        alone = "what is foretold" if searched is OF_FORETELLING else "how slates are ranked"
        raise ConfigError(
            f"{given} can't be searched, since trials differ only in {alone}; "
            f"expected a key of {', '.join(searched)}"
        )


def _is_below(path: Path, other: Path) -> bool:
    return path[: len(other)] == other


def _examples(parameter: Parameter) -> Iterator[Any]:
    """Values that show whether the configuration takes all of them."""
    if not isinstance(parameter, Range):
        yield from parameter
        return
    low, high, step = parameter.bounds
    middle = low + step if step else (low + high) / 2
    for raw in (low, int(middle) if parameter.is_whole else middle, high):
        yield value_of(parameter, raw)


# --------------------------------------------------------------------------- values
def value_of(parameter: Parameter, raw: Raw) -> Any:
    """A value as the configuration has it.

    What lies between a range's bounds is rounded to three significant digits, so that people can
    read it; steps are exact.
    """
    if not isinstance(parameter, Range):
        return json.loads(str(raw))
    low, high, step = parameter.bounds
    number = float(raw)
    if parameter.is_whole:
        return int(number)
    if number in (low, high):
        return parameter.low if number == low else parameter.high
    if parameter.is_duration:
        return format_duration(timedelta(seconds=number)) if step else _rounded_duration(number)
    if step:
        return float(f"{number:.12g}")
    return min(max(float(f"{number:.{_DIGITS}g}"), low), high)


def raw_of(parameter: Parameter, value: Any) -> Raw:
    """The same value as optuna has it: what `value_of` gives, back."""
    if not isinstance(parameter, Range):
        return as_json(value)
    if parameter.is_duration:
        low, high, _ = parameter.bounds
        return min(max(parse_duration(value).total_seconds(), low), high)
    return int(value) if parameter.is_whole else float(value)


def raws_of(parameter: Parameter) -> list[Raw]:
    """All values as optuna has them; of a range those that its step leads to."""
    if not isinstance(parameter, Range):
        return [as_json(value) for value in parameter]
    low, high, step = parameter.bounds
    if step is None:
        raise ValueError("a range without a step has no list of values")
    count = int((high - low) / step + 1e-9) + 1
    numbers = [low + step * place for place in range(count)]
    return [int(number) for number in numbers] if parameter.is_whole else list(numbers)


def as_json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _rounded_duration(seconds: float) -> str:
    unit = next((unit for unit, size in _UNITS.items() if seconds >= size), "s")
    return f"{float(f'{seconds / _UNITS[unit]:.{_DIGITS}g}'):.12g}{unit}"
