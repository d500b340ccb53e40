"""Asks a chat endpoint over HTTP, as OpenAI has it, and takes of an answer what it may say.

What is asked about is data and never an instruction: it is sent as JSON in a message of its own.
Whatever it makes the model say, an answer is nothing but a list, bound by a JSON schema, of which
the caller takes entries of a list of its own or a few short words. Never imports Spark.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ebb.errors import RunError
from ebb.language.asking import Asker, RefusedError
from ebb.language.settings import Talking

GIVEN, REFUSED, UNREADABLE = "given", "refused", "unreadable"
# What words of the model's own may be: few, with these between them. No sentence, address or
# markup.
_BETWEEN = re.compile("[ '\u2019&-]")
_MOST_WORDS, _LONGEST = 4, 40
_IN_WORDS = frozenset("LMN")  # letters, marks and numbers, by their Unicode category
# A request is refused with one of these for what it says, too: by a filter, or for its length.
_OF_WHAT_IT_SAYS = frozenset({400, 413, 422})
# So many refusals before any answer are not the fault of what was asked about.
_PATIENCE = 5


@dataclass(frozen=True)
class Said:
    """What an answer says: the parts of its list, whatever they are, and how it came out."""

    parts: tuple[object, ...]
    outcome: str


@dataclass
class Talk:
    """Asks about one thing after the other, until a refusal looks as if it were for all.

    Attributes
    ----------
    section : of the configuration, for the message.
    """

    asker: Asker
    section: str
    _refusals: int = field(default=0, init=False)
    _is_answered: bool = field(default=False, init=False)

    def ask(self, body: bytes) -> Said:
        """What the endpoint says to a request.

        Raises
        ------
        UnreachableError
            When every try failed in a way that may pass.
        RunError
            When it refuses, and not for what this request says.
        """
        try:
            answer = self.asker.answer(body)
        except RefusedError as error:
            self._refusals += 1
            is_for_all = not self._is_answered and self._refusals >= _PATIENCE
            if error.status not in _OF_WHAT_IT_SAYS or is_for_all:
                raise RunError(f"{self.section}: {error}") from error
            return Said((), REFUSED)
        self._is_answered = True
        return said(answer)


def request(
    settings: Talking, about: str, data: Mapping[str, Any], part: Mapping[str, Any]
) -> bytes:
    """A request for the list `tags`.

    Parameters
    ----------
    about : what is asked for. data : what it is asked about.
    part : JSON schema of what the list is of.
    """
    schema = {
        "type": "object",
        "properties": {"tags": {"type": "array", "items": part}},
        "required": ["tags"],
        "additionalProperties": False,
    }
    body = {
        "model": settings.model,
        "messages": [
            {"role": "system", "content": about},
            {"role": "user", "content": json.dumps(data, ensure_ascii=False)},
        ],
        "temperature": 0,
        "max_tokens": settings.answer_tokens,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "tags", "strict": True, "schema": schema},
        },
    }
    return json.dumps(body).encode()


def tag_schema(tags: Sequence[str] | None) -> dict[str, Any]:
    """The schema of one of these tags or, without any, of words of the model's own."""
    return {"type": "string"} if tags is None else {"type": "string", "enum": list(tags)}


def allowed(part: object, tags: Sequence[str] | None) -> str | None:
    """A part of an answer as one of these tags, or without any as a few short words; else None."""
    if tags is None:
        return short_words(part)
    return part if isinstance(part, str) and part in tags else None


def said(answer: bytes) -> Said:
    """What an answer says, whatever it is."""
    try:
        choice = json.loads(answer)["choices"][0]
        message = choice["message"]
        if message.get("refusal") or choice.get("finish_reason") == "content_filter":
            return Said((), REFUSED)
        parts = json.loads(message["content"])["tags"]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        return Said((), UNREADABLE)
    return Said(tuple(parts), GIVEN) if isinstance(parts, list) else Said((), UNREADABLE)


def short_words(part: object) -> str | None:
    """A part of an answer in NFKC and case-folded, if it is a few short words; else None."""
    if not isinstance(part, str):
        return None
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", part).casefold()).strip()
    words = _BETWEEN.split(text)
    is_short = len(text) <= _LONGEST and len(words) <= _MOST_WORDS
    return text if is_short and all(map(_is_word, words)) else None


def _is_word(text: str) -> bool:
    return text != "" and all(unicodedata.category(one)[0] in _IN_WORDS for one in text)
