"""Reads the configuration: a YAML file, overruled by `--set` and `--root`, checked as a whole.

The only place that reads configuration files and the environment. Pure Python; never imports
Spark, so that a mistake is told at once.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml
from pydantic import ValidationError

from ebb import yaml_lines
from ebb.config import Config
from ebb.config_errors import sentences
from ebb.errors import ConfigError
from ebb.search.space import check_parameters
from ebb.yaml_lines import Document


def load_config(
    path: str | Path,
    *,
    sets: Sequence[str] = (),
    root: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Config:
    """Read and check a configuration.

    Parameters
    ----------
    path : the YAML file. ``${VAR}`` and ``${VAR:-default}`` in it are filled in.
    sets : ``dotted.key=value`` each, the value in YAML; the last one counts.
    root : overrules `root`.
    environment : variables to fill in; None means the process's own.

    Raises
    ------
    ConfigError
        One sentence a mistake, a line each: file and line (or option), key, what was given,
        what is expected.
    """
    document = yaml_lines.parse(
        _text_of(Path(path)), str(path), os.environ if environment is None else environment
    )
    for assignment in sets:
        _apply(document, assignment)
    if root is not None:
        document.set(("root",), root, "--root")
    try:
        config = Config.model_validate(document.content)
    except ValidationError as error:
        raise ConfigError("\n".join(sentences(error, Config, document))) from None
    _check_root(config, document)
    check_parameters(config, document)
    return config


def show_config(config: Config) -> str:
    """Write a configuration as YAML, every default included; it reads back as the same."""
    text = yaml.safe_dump(
        config.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100
    )
    return text.replace("${", "$${")


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        names = sorted(p.name for p in path.parent.glob("*.y*ml"))
        near = get_close_matches(path.name, names, n=1)
        if near:
            hint = f"; did you mean {path.parent / near[0]}?"
        else:
            hint = f"; {path.parent} has {', '.join(names)}" if names else ""
        raise ConfigError(f"--conf {path}: there is no such file{hint}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: this is not text in UTF-8") from None
    except OSError as error:
        raise ConfigError(f"--conf {path}: can't be read: {error.strerror}") from None


def _apply(document: Document, assignment: str) -> None:
    """Apply one ``dotted.key=value``."""
    key, equals, value = assignment.partition("=")
    if not equals:
        raise ConfigError(
            f"--set {assignment}: has no =, expected dotted.key=value, e.g. recommend.n=20"
        )
    path = yaml_lines.path_of(key, f"--set {key}")
    document.set(path, yaml_lines.parse_value(value, f"--set {key}"), "--set")


def _check_root(config: Config, document: Document) -> None:
    """Refuse a root that can't be written, where that shows without Spark: on a local disk."""
    where = document.where(("root",))
    if not config.root.strip():
        raise ConfigError(f"{where}: root is empty, expected a folder or a URI such as s3a://…")
    folder = _local_folder(config)
    if folder is None:
        return
    nearest = next(p for p in (folder, *folder.parents) if p.exists())
    problem = "" if nearest.is_dir() else f"{nearest} is not a folder"
    if not problem:
        try:
            # Not os.access: it says yes to the super-user on a disk mounted read-only.
            with tempfile.TemporaryFile(dir=nearest):
                pass
        except OSError as error:
            problem = f"{nearest}: {error.strerror}"
    if problem:
        raise ConfigError(
            f'{where}: root is "{config.root}", which can\'t be written ({problem}); '
            "expected a folder that can, or a URI such as s3a://…"
        )


def _local_folder(config: Config) -> Path | None:
    """The root as a folder of this machine, or None where Hadoop decides what it is."""
    parts = urlsplit(config.root)
    if parts.scheme == "file":
        return Path(unquote(parts.path)).absolute()
    hadoop = "HADOOP_CONF_DIR" in os.environ or "YARN_CONF_DIR" in os.environ
    elsewhere = hadoop or "spark.hadoop.fs.defaultFS" in config.spark.conf
    return None if parts.scheme or elsewhere else Path(config.root).absolute()
