"""Items in versions, users from events and from their table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ebb.config import Config
from ebb.errors import RunError
from ebb.events.catalogue import Catalogue, ingest_items, versions_at
from ebb.events.ingest import ingest_events
from ebb.events.users import UserTable, ingest_users
from ebb.schema import ITEMS, QUARANTINE, USERS
from ebb.tables import Tables
from small import Shop, line

NIGHT = datetime(2026, 1, 10, tzinfo=UTC)
LATER = NIGHT + timedelta(days=1)


@pytest.fixture
def shop(tables: Tables, tmp_path: Path) -> Shop:
    return Shop(tables, tmp_path / "landing")


def item(name: str, **more: Any) -> dict[str, Any]:
    return {"item_id": name, "title": name.upper(), "category": "Music > Jazz", **more}


def known(shop: Shop, as_of: datetime) -> dict[str, Any]:
    return {r["item_id"]: r for r in versions_at(shop.tables.read(ITEMS), as_of).collect()}


def test_a_path_gives_every_ancestor_and_an_attribute_its_name(shop: Shop) -> None:
    shop.catalogue([item("a", brand="Blue")])
    ingest_items(shop.tables, shop.config(), NIGHT)
    row = known(shop, NIGHT)["a"]
    assert row["categories"] == ["Music", "Music > Jazz"]
    assert (row["attributes"], row["available"], row["assumed_static"]) == (
        {"brand": "Blue"},
        True,
        True,
    )


def test_a_changed_snapshot_counts_from_the_night_that_read_it(shop: Shop) -> None:
    shop.catalogue([item("a"), item("b")])
    ingest_items(shop.tables, shop.config(), NIGHT)
    shop.catalogue([item("a", title="New name"), item("c")])
    ingest_items(shop.tables, shop.config(), LATER)
    before, after = known(shop, NIGHT), known(shop, LATER)
    assert {name: row["title"] for name, row in before.items()} == {"a": "A", "b": "B"}
    assert {name: row["title"] for name, row in after.items()} == {
        "a": "New name",
        "b": "B",
        "c": "C",
    }
    assert (after["b"]["available"], before["b"]["available"]) == (False, True)


def test_an_unchanged_snapshot_is_not_read_again(shop: Shop) -> None:
    shop.catalogue([item("a")])
    ingest_items(shop.tables, shop.config(), NIGHT)
    assert ingest_items(shop.tables, shop.config(), LATER) == Catalogue()


def test_items_without_an_id_or_twice_are_quarantined(shop: Shop) -> None:
    shop.catalogue([item("a"), item("a", title="Z"), item("")])
    assert ingest_items(shop.tables, shop.config(), NIGHT) == Catalogue(
        read=3, versions=1, refused=2
    )
    reasons = sorted(r["reasons"][0] for r in shop.tables.read(QUARANTINE).collect())
    assert reasons == ["item: a second row for this item_id", "item: missing item_id"]


def test_versions_of_a_source_with_history_hold_until_the_next(shop: Shop) -> None:
    first, second = "2026-01-01T00:00:00Z", "2026-01-10T00:00:00Z"
    shop.catalogue([item("a", since=first), item("a", title="Second", since=second)])
    config = shop.config()
    assert config.items is not None
    columns = config.items.columns.model_copy(update={"valid_from": "since"})
    dated = config.model_copy(
        update={"items": config.items.model_copy(update={"columns": columns})}
    )
    ingest_items(shop.tables, dated, NIGHT)
    # What begins at as_of isn't known strictly before it.
    assert [known(shop, at)["a"]["title"] for at in (NIGHT, LATER)] == ["A", "Second"]
    assert known(shop, datetime(2026, 1, 1, tzinfo=UTC)) == {}


def test_a_catalogue_that_is_not_there_says_so(shop: Shop) -> None:
    shop.catalogue([item("a")])
    config = shop.config()
    (shop.folder / "items.jsonl").unlink()
    with pytest.raises(RunError, match=r"items \(.*items\.jsonl\): nothing can be read there"):
        ingest_items(shop.tables, config, NIGHT)


def with_users(shop: Shop, text: str) -> Config:
    path = shop.folder / "users.csv"
    path.write_text(text)
    columns = {"joined_at": "joined", "attributes": {"land": "land"}}
    return shop.config(users={"path": str(path), "format": "csv", "columns": columns})


def test_users_come_from_events_and_from_their_table(shop: Shop) -> None:
    shop.land("1.jsonl", [line("u1", "a", "view", "01-05 10:00")])
    config = with_users(shop, "user_id,joined,land\nu1,2026-01-01,PT\ncold,,FR\n,2026-01-01,IT\n")
    ingest_events(shop.tables, config)
    assert ingest_users(shop.tables, config, again=False) == UserTable(2, 1)
    found = {r["user_id"]: r for r in shop.tables.read(USERS).collect()}
    assert found["u1"]["first_seen"].astimezone(UTC) == datetime(2026, 1, 1, tzinfo=UTC)
    assert (found["cold"]["first_seen"], found["cold"]["attributes"]) == (None, {"land": "FR"})
    assert ingest_users(shop.tables, config, again=False) == UserTable()
