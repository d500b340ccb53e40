"""Errors that a person can act on. Each message is a sentence that says what to do."""

from __future__ import annotations


class EbbError(Exception):
    """Base of the errors that are shown as one sentence, without a stack trace."""

    exit_code = 1


class ConfigError(EbbError):
    """A mistake in arguments or configuration: exit code 2, before Spark starts."""

    exit_code = 2


class RunError(EbbError):
    """A run that can't go on, e.g. a source that vanished: exit code 1, nothing published."""
