"""What to tell a person about an exception that nobody foresaw: one sentence.

Spark wraps the cause in layers of Java and Python; this finds the layer that says something.
"""

from __future__ import annotations

import re

from py4j.protocol import Py4JError, Py4JJavaError, Py4JNetworkError
from pyspark import SparkContext

_PYTHON_ERROR = re.compile(r"^(?:[\w.]+\.)?\w*(?:Error|Exception|Interrupt)\b.*")
_JAVA_CAUSE = re.compile(r"^\s*Caused by: (.+)")
_LAYER = re.compile(r"^(?:[a-z][\w$]*\.)+([A-Z][\w$]*(?:Error|Exception)): (?=.)")
_LONGEST = 400


def one_sentence(error: BaseException, step: str, verbose: bool) -> str:
    """Name the step that failed and why, and how to see more.

    Parameters
    ----------
    step : the step that ran.
    verbose : the stack trace has been shown already.
    """
    more = "" if verbose else "; run again with --verbose for the stack trace"
    if _java_is_gone(error):
        return (
            f"{step} failed: Spark's Java ended unexpectedly, most often for want of memory; "
            f"give it more after --, e.g. -- --driver-memory 8g{more}"
        )
    return f"{step} failed: {cause(error)}{more}"


def cause(error: BaseException) -> str:
    """The innermost message that says why, on one line."""
    lines = _text(error).splitlines()
    traceback_at = [i for i, line in enumerate(lines) if line.strip().startswith("Traceback (most")]
    if traceback_at:  # a Python function failed on an executor: its error ends the traceback
        ends = filter(_PYTHON_ERROR.match, (line.strip() for line in lines[traceback_at[-1] :]))
        found = next(ends, None)
        if found:
            return _short(found)
    causes = [match[1] for match in map(_JAVA_CAUSE.match, lines) if match]
    text = causes[-1] if causes else next((line for line in lines if line.strip()), "")
    named = _LAYER.sub(r"\1: ", text.strip())
    return _short(named if text else type(error).__name__)


def _text(error: BaseException) -> str:
    if isinstance(error, Py4JJavaError):
        java = error.java_exception
        layers: list[str] = []
        while java is not None and len(layers) < 20:
            layers.append(str(java.toString()))
            java = java.getCause()
        return "\n".join(reversed(layers))
    if type(error).__module__.startswith("pyspark."):
        return str(error)
    message = str(error)
    kind = type(error).__name__
    return f"{kind}: {message}" if message else kind


def _short(text: str) -> str:
    flat = re.sub(r"\s*SQLSTATE: \w+.*", "", " ".join(text.split())).rstrip(".")
    return flat if len(flat) <= _LONGEST else f"{flat[: _LONGEST - 1]}…"


def _java_is_gone(error: BaseException) -> bool:
    java = getattr(SparkContext._gateway, "proc", None)
    if java is not None and java.poll() is not None:
        return True
    silent = isinstance(error, Py4JError) and "Answer from Java side is empty" in str(error)
    return silent or isinstance(error, Py4JNetworkError | ConnectionRefusedError)
