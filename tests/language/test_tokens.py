from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebb.language.tokens import tokens


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Toy Story (1995)", ["toy", "story", "1995"]),
        ("\uff37ide \ufb01re, Straße", ["wide", "fire", "strasse"]),
        ("don't snake_case", ["don", "t", "snake", "case"]),
        ("Москва — 100 %", ["москва", "100"]),
        ("한국어 텍스트", ["한국어", "텍스트"]),
        ("हिन्दी में", ["हिन्दी", "में"]),  # vowel signs are marks and belong to their words
        ("我喜欢电影 2020年", ["我喜", "喜欢", "欢电", "电影", "2020", "年"]),
        ("ﾃｷｽﾄ検索", ["テキ", "キス", "スト", "ト検", "検索"]),
        ("ไทย", ["ไท", "ทย"]),
        ("a我b", ["a", "我", "b"]),
        (" \n—!?", []),
    ],
)
def test_terms_are_words_and_pairs_of_characters_where_words_have_no_space(text, expected) -> None:
    assert tokens(text) == expected


def test_letters_written_in_one_or_two_code_points_are_the_same() -> None:
    assert tokens("cafe\u0301") == tokens("CAF\u00c9") == ["caf\u00e9"]


@given(st.text(), st.text())
def test_a_space_never_joins_nor_parts_what_is_on_its_sides(left: str, right: str) -> None:
    assert tokens(f"{left} {right}") == tokens(left) + tokens(right)


@given(st.text())
def test_terms_are_folded_and_hold_letters_marks_and_numbers_alone(text: str) -> None:
    for term in tokens(text):
        assert term
        assert all(unicodedata.category(character)[0] in "LMN" for character in term)
    assert tokens(unicodedata.normalize("NFKD", text)) == tokens(text)
