"""Packages that come with an extra: what needs one says so where it is absent."""

from __future__ import annotations

from importlib import import_module

from ebb.errors import RunError


def require(missing: str, *modules: str) -> None:
    """Tell that an extra isn't installed before anything is computed.

    Parameters
    ----------
    missing : a sentence: what needs it, and the command that installs it.

    Raises
    ------
    RunError
        With that sentence, when one of the modules can't be imported.
    """
    try:
        for module in modules:
            import_module(module)
    except ImportError as error:
        raise RunError(f"{missing} ({error})") from error
