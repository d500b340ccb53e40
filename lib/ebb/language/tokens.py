"""Terms of a text, whatever its language: words, and pairs of characters where words have no space.

Pure Python; never imports Spark, and knows no stop words, stems or dictionaries.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import lru_cache

# Scripts that are written without spaces between words, by their Unicode blocks: Thai, Lao,
# Myanmar, Khmer, kana and Han with its extensions.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\ua9e0-\ua9ff\uaa60-\uaa7f"
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)

_WORD = frozenset("LMN")


def tokens(text: str) -> list[str]:
    """The terms of a text, in their order.

    The text is brought to NFKC and case-folded, so that neither width, ligatures nor capitals tell
    terms apart. A word is a longest run of letters, marks and numbers (Unicode categories L, M, N).
    Within it, a run of a script without spaces gives each two characters that follow each other,
    or the one that stands alone.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    found: list[str] = []
    for match in _runs().finditer(folded):
        run = match.group()
        if match.lastgroup == "unspaced" and len(run) > 1:
            found += [run[place : place + 2] for place in range(len(run) - 1)]
        else:
            found.append(run)
    return found


@lru_cache(maxsize=1)
def _runs() -> re.Pattern[str]:
    # One class of characters each: what \w and lookahead would need is ten times slower, and \w
    # lacks the vowel signs of Indic scripts, which are marks.
    apart = re.compile(f"[{_UNSPACED}]")
    of_words = [
        c for c in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(c)[0] in _WORD
    ]
    spaced, unspaced = (
        [c for c in of_words if bool(apart.match(c)) == own] for own in (False, True)
    )
    return re.compile(f"(?P<unspaced>[{_ranges(unspaced)}]+)|[{_ranges(spaced)}]+")


def _ranges(characters: list[str]) -> str:
    """Characters in their order as ranges of a character class."""
    codes = [ord(c) for c in characters]
    starts = [c for c, before in zip(codes, [-2, *codes[:-1]], strict=True) if c - before > 1]
    ends = [
        c for c, after in zip(codes, [*codes[1:], sys.maxunicode + 2], strict=True) if after - c > 1
    ]
    return "".join(f"{chr(a)}-{chr(b)}" for a, b in zip(starts, ends, strict=True))
