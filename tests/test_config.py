"""The configuration model: its defaults, its rules, and the hash that says what counts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from ebb.config import Config
from ebb.interests.measures import ExponentialMeasure, WindowMeasure


def content(**sections: Any) -> dict[str, Any]:
    """The least that a configuration needs, and what a test adds or changes."""
    events = {
        "sources": [{"path": "events.csv", "format": "csv"}],
        "types": {"view": {}, "purchase": {"weight": 5}},
    }
    return {"root": "tables", "events": {**events, **sections.pop("events", {})}, **sections}


def refusal(**sections: Any) -> str:
    """What pydantic says of a configuration that must not pass."""
    with pytest.raises(ValidationError) as refused:
        Config.model_validate(content(**sections))
    return "\n".join(error["msg"] for error in refused.value.errors())


def test_the_three_named_measures_are_the_default() -> None:
    measures = Config.model_validate(content()).interests.measures
    assert [measure.name for measure in measures] == ["exp_7d", "win_30d", "lin_30d"]
    assert isinstance(measures[0], ExponentialMeasure)
    assert measures[0].half_life == timedelta(days=7)
    assert isinstance(measures[1], WindowMeasure)
    assert measures[1].length == timedelta(days=30)


def test_two_measures_of_one_name_are_refused() -> None:
    measure = {"name": "exp_7d", "curve": "exponential", "half_life": "7d"}
    assert "two measures named exp_7d" in refusal(interests={"measures": [measure, measure]})


@pytest.mark.parametrize("name", ["share", "as_of", "Exp", "7d", "a-b", "_x", ""])
def test_a_measure_needs_the_name_of_a_free_column(name: str) -> None:
    measure = {"name": name, "curve": "window", "length": "7d"}
    assert "expected a column name" in refusal(interests={"measures": [measure], "rank_by": name})


def test_rank_by_must_name_a_measure() -> None:
    assert "rank_by names exp_9d, expected one of exp_7d" in refusal(
        interests={"rank_by": "exp_9d"}
    )


def test_a_measure_counts_only_event_types_that_exist() -> None:
    measure = {"name": "w", "curve": "window", "length": "7d", "event_types": ["sale"]}
    assert "counts event type sale, expected of purchase, view" in refusal(
        interests={"measures": [measure], "rank_by": "w"}
    )


def test_a_curve_takes_its_own_parameters_only() -> None:
    measure = {"name": "w", "curve": "window", "half_life": "7d"}
    message = refusal(interests={"measures": [measure], "rank_by": "w"})
    assert "Field required" in message and "Extra inputs" in message


def test_own_half_lives_have_to_be_learned() -> None:
    own = {"measures": [{"name": "own", "curve": "own"}], "rank_by": "own"}
    assert Config.model_validate(content(interests=own, forgetting={})).interests.by_own == ("own",)
    assert "measures own has curve own, but forgetting is left out; write forgetting: {}" in (
        refusal(interests=own)
    )


@pytest.mark.parametrize(
    ("curve", "aggregate"), [("own", "last"), ("own", "active_days"), ("ewma_events", "last")]
)
def test_a_curve_that_is_no_function_of_age_alone_has_sums_only(curve: str, aggregate: str) -> None:
    measure = {"name": "x", "curve": curve, "aggregate": aggregate}
    rate = {"rate": 0.2} if curve == "ewma_events" else {}
    assert f"curve {curve} has no aggregate {aggregate}" in refusal(
        interests={"measures": [measure | rate], "rank_by": "x"}
    )


def test_facets_follow_what_the_items_have() -> None:
    items = {"path": "i.csv", "format": "csv", "columns": {"categories": "genres"}}
    assert Config.model_validate(content()).facets == ("item",)
    assert Config.model_validate(content(items=items)).facets == ("item", "category")


def test_a_facet_that_items_do_not_have_is_refused() -> None:
    assert "names colour, which the item source doesn't map" in refusal(
        interests={"facets": ["item", "colour"]}
    )


def test_an_attribute_of_items_can_be_a_facet() -> None:
    items = {"path": "i.csv", "format": "csv", "columns": {"attributes": {"colour": "c"}}}
    config = Config.model_validate(content(items=items, interests={"facets": ["colour"]}))
    assert config.facets == ("colour",)


def test_tastes_lead_by_attributes_where_they_are_named() -> None:
    columns = {"categories": "genres", "attributes": {"brand": "b", "price": "p"}}
    items = {"path": "i.csv", "format": "csv", "columns": columns}
    assert Config.model_validate(content(items=items)).affinity_facets == ("category",)
    named = {"affinity": ["category", "brand"], "numbers": ["price"]}
    chosen = Config.model_validate(content(items=items, recommend=named))
    assert chosen.affinity_facets == ("category", "brand")
    assert "recommend.affinity names item" in refusal(items=items, recommend={"affinity": ["item"]})
    assert "recommend.numbers names category" in refusal(
        items=items, recommend={"numbers": ["category"]}
    )


def test_a_context_that_no_source_maps_is_refused() -> None:
    assert "recommend.context names device, which no source of events maps; expected of none" in (
        refusal(recommend={"context": ["device"]})
    )


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ({"weight": -1}, "needs effect: negative"),
        ({"weight": 1, "effect": "negative"}, "needs a weight below 0"),
        ({"weight": float("nan")}, "finite"),
        ({"value": {"transform": "clip", "low": 2, "high": 1}}, "low 2.0 must be below high 1.0"),
        ({"cancels": ["view"]}, "belongs to a type with effect: cancel"),
        ({"effect": "cancel", "cancels": ["sale"]}, "cancels names sale"),
    ],
)
def test_an_event_type_that_contradicts_itself_is_refused(
    kind: dict[str, Any], message: str
) -> None:
    types = {"view": {}, "purchase": {}, "odd": kind}
    assert message in refusal(events={"types": types})


def test_a_type_can_be_taken_back_by_one_other_only() -> None:
    types = {"buy": {}, "return": {"effect": "cancel"}, "refund": {"effect": "cancel"}}
    assert "both cancel buy" in refusal(events={"types": types})


def test_a_cancelling_type_takes_back_everything_that_adds_unless_it_says() -> None:
    types = {"buy": {}, "view": {}, "return": {"effect": "cancel"}}
    config = Config.model_validate(content(events={"types": types}))
    assert config.events.cancelled_by() == {"buy": "return", "view": "return"}


def test_a_source_needs_its_event_type_from_a_column_or_a_constant() -> None:
    neither = {"path": "e", "format": "csv", "columns": {"event_type": None}}
    both = {"path": "e", "format": "csv", "event_type": "view"}
    constant = {**neither, "event_type": "view"}
    assert "exactly one" in refusal(events={"sources": [neither]})
    assert "exactly one" in refusal(events={"sources": [both]})
    assert Config.model_validate(content(events={"sources": [constant]}))


def test_users_are_all_or_those_active_of_late() -> None:
    config = Config.model_validate(content(recommend={"users": {"active_within": "90d"}}))
    assert config.recommend.users != "all"
    assert config.recommend.users.active_within == timedelta(days=90)
    assert "Input should be 'all'" in refusal(recommend={"users": "some"})


def test_a_configuration_cannot_be_changed() -> None:
    config = Config.model_validate(content())
    with pytest.raises(ValidationError):
        config.root = "elsewhere"  # type: ignore[misc]


def test_a_fingerprint_changes_with_its_sections_and_no_others() -> None:
    one = Config.model_validate(content())
    two = Config.model_validate(content(train={"als": {"rank": 64}}))
    assert one.fingerprint("interests") == two.fingerprint("interests")
    assert one.fingerprint("interests", "train") != two.fingerprint("interests", "train")
    assert one.language is None and one.fingerprint("language") == one.fingerprint()


def test_a_fingerprint_is_the_same_however_a_value_is_written() -> None:
    one = Config.model_validate(content(hot_list={"half_life": "2d"}))
    two = Config.model_validate(content(hot_list={"half_life": "48h"}))
    assert one.fingerprint("hot_list") == two.fingerprint("hot_list")
