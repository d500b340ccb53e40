"""Asks a model behind an endpoint over HTTP, no faster than it may, and again where that may help.

What can't get better by waiting (a wrong key) is told apart from what can (time-outs, 429, 5xx).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from ebb.language.settings import Asked

_FOR_A_WHILE = frozenset({408, 429})
_LONGEST_PAUSE = 60.0
_MOST_OF_AN_ANSWER = 300


class UnreachableError(Exception):
    """The endpoint went on failing for as long as there were tries."""


class RefusedError(ValueError):
    """The endpoint refuses the request, and would again.

    Attributes
    ----------
    status : of HTTP.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Asker:
    """Posts requests, one after the other.

    Attributes
    ----------
    key : sent as a bearer token; None sends none.
    sleep, clock : of the waiting; seconds.
    """

    settings: Asked
    key: str | None = field(default=None, repr=False)
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    _next: float = field(default=0.0, init=False)

    def answer(self, body: bytes) -> bytes:
        """The answer to a request of JSON.

        Raises
        ------
        UnreachableError
            When every try failed in a way that may pass.
        RefusedError
            When the endpoint refused.
        """
        pause = self.settings.pause.total_seconds()
        said = ""
        for place in range(self.settings.tries):
            self._wait_for_turn()
            asked = 0.0
            try:
                return self._post(body)
            except HTTPError as error:
                said = f"status {error.code}: {excerpt(error.read())}"
                if error.code < 500 and error.code not in _FOR_A_WHILE:
                    refusal = f"{self.settings.url} refuses: {said}"
                    raise RefusedError(error.code, refusal) from error
                asked = _seconds(error.headers.get("Retry-After"))
            except (OSError, HTTPException) as error:  # of the network, time-outs too
                said = f"{type(error).__name__}: {error}"
            if place + 1 < self.settings.tries:
                self.sleep(min(max(asked, pause * 2**place), _LONGEST_PAUSE))
        raise UnreachableError(f"{self.settings.url}, {self.settings.tries} tries: {said}")

    def _post(self, body: bytes) -> bytes:
        headers = {"Content-Type": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        request = Request(self.settings.url, data=body, headers=headers, method="POST")
        with urlopen(request, timeout=self.settings.timeout.total_seconds()) as answer:
            read: bytes = answer.read()
        return read

    def _wait_for_turn(self) -> None:
        if self.settings.requests_a_minute is None:
            return
        now = self.clock()
        if now < self._next:
            self.sleep(self._next - now)
        self._next = max(now, self._next) + 60.0 / self.settings.requests_a_minute


def excerpt(answer: bytes) -> str:
    """The beginning of an answer, to show."""
    return answer[:_MOST_OF_AN_ANSWER].decode("utf-8", "replace")


def _seconds(text: str | None) -> float:
    """Of a Retry-After in seconds; 0 for a date or none."""
    return float(text) if text and text.strip().isdigit() else 0.0
