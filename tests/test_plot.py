"""The picture of a user's interests: it is drawn, it names the keys, a stranger has none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ebb.errors import RunError
from ebb.plot import _moments, plot_user
from ebb.tables import Tables
from small import Shop, arrive

AS_OF = datetime(2026, 1, 10, tzinfo=UTC)


def test_a_user_s_keys_are_drawn_and_a_stranger_is_told_of(tables: Tables, tmp_path: Path) -> None:
    config = Shop(tables, tmp_path / "landing").config()
    bought = [("u", item, "buy", AS_OF - timedelta(days=n), 2.0) for n, item in enumerate("xyx")]
    arrive(tables, [*bought, ("u", "later", "view", AS_OF + timedelta(days=1), None)])
    page = tmp_path / "out" / "u.html"
    plot_user(tables, config, "u", AS_OF, page)
    drawn = page.read_text(encoding="utf-8")
    assert drawn.startswith("<!doctype html>") and drawn.rstrip().endswith("</svg>")
    assert [f"<!-- {key} -->" in drawn for key in ("x", "y", "later")] == [True, True, False]
    with pytest.raises(RunError, match="no event of user stranger is known before 2026-01-10"):
        plot_user(tables, config, "stranger", AS_OF, page)


def test_a_jump_is_seen_before_and_after_its_event() -> None:
    event = AS_OF - timedelta(days=3)
    moments = _moments([event], AS_OF)
    assert moments[:2] == [event, event + timedelta(microseconds=1)]
    assert moments[-1] == AS_OF
    assert len(moments) == 2 + 240
