"""What was known of people's interests at the instants of given rows: features without leaks.

Each row sees the events strictly before its own instant, the cancellations before it, and the
item versions that held at it: what `interests_from_events` would have told with the instant as
its as_of. Events and instants go by user, in the order of time, through `stream.py`; rows are
never joined with events.
"""

from __future__ import annotations

from functools import partial

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from ebb.config import Config
from ebb.forgetting.fits import Fit
from ebb.interests.keys import keys_of
from ebb.interests.lives import lives
from ebb.interests.named_columns import item_of, text_of, with_texts_named
from ebb.interests.own import OwnHalfLives, with_own_at_instants
from ebb.interests.stored import counts_later
from ebb.interests.stream import Plan, feature_batches
from ebb.interests.sums import ratio_value

_REQUIRED = ("user_id", "instant")
_KEY = ("facet", "key")
_ENDLESS = "9999-12-31"


def features_at(
    entities: DataFrame,
    events: DataFrame,
    items: DataFrame,
    config: Config,
    own: OwnHalfLives | None = None,
    texts: DataFrame | None = None,
) -> DataFrame:
    """Compute the measures of each user at each instant, from what came strictly before it.

    Parameters
    ----------
    entities : user_id, instant (a timestamp) and, where only certain keys are asked for, facet and
        key, none of them null. Rows given twice count once.
    events : the `events` table.
    items : all versions of the `items` table.
    own : what `own.learned` gives, where a measure goes by users' own half-lives: at each instant
        by those learned up to it.
    texts : of events, with their tags (`labelled.labelled_texts`), which are keys of the facet
        `tag`; None reads none.

    Returns
    -------
    DataFrame of user_id, instant, facet, key, n, last_ts, one column a measure and a ratio: one row
    for each row given, or, where these name no keys, for each key with an event that counts at the
    instant. A key that was asked for and has none has n = 0, sums of 0 and no averages.

    Raises
    ------
    ValueError
        When `entities` has other columns than these, or `own` is missing.
    """
    _check(entities)
    facets, measures = config.facets, config.interests.measures
    fits = _fits(config, own)
    types = {name: t.weight for name, t in config.events.types.items()}
    plan = Plan(facets, types, measures, fits)
    rows = _entities(entities, facets)
    if own is not None and fits:
        rows = with_own_at_instants(rows, own, facets)
    stream = _events(events, items, config, texts).unionByName(rows, allowMissingColumns=True)
    order = ("user_id", "at", *(("event_id",) if counts_later(measures) else ()))
    kinds = [(m.name, "timestamp" if m.aggregate == "last" else "double") for m in measures]
    schema = ", ".join(
        ["user_id string, instant timestamp, facet string, key string, n long, last_ts timestamp"]
        + [f"{name} {kind}" for name, kind in kinds]
    )
    features = (
        stream.repartition("user_id")
        .sortWithinPartitions(*order)
        .mapInArrow(partial(feature_batches, plan), schema)
    )
    return features.select("*", *(ratio_value(ratio) for ratio in config.interests.ratios))


def _fits(config: Config, own: OwnHalfLives | None) -> tuple[Fit, ...]:
    """The fits that the measures go by."""
    by_own = config.interests.by_own
    if by_own and own is None:
        raise ValueError(
            f"{by_own[0]} goes by users' own half-lives; give own=learned(tables), "
            "of ebb.interests.own"
        )
    return own.fits if by_own and own else ()


def _check(entities: DataFrame) -> None:
    given = set(entities.columns)
    if given in ({*_REQUIRED}, {*_REQUIRED, *_KEY}):
        return
    missing = sorted({*_REQUIRED, *(_KEY if given & {*_KEY} else ())} - given)
    unknown = sorted(given - {*_REQUIRED, *_KEY})
    raise ValueError(
        f"entities has the columns {', '.join(entities.columns)}; "
        f"missing: {', '.join(missing) or 'none'}; not known: {', '.join(unknown) or 'none'}; "
        "expected user_id and instant, and facet and key together or not at all"
    )


def _events(
    events: DataFrame, items: DataFrame, config: Config, texts: DataFrame | None
) -> DataFrame:
    """The stream's rows of events: those that a measure may count, once a life."""
    counting = counts_later(config.interests.measures)
    facets = config.facets
    told = (config.language.events or ()) if config.language and texts is not None else ()
    living = lives(with_texts_named(events, told), config.events)
    if not counting:  # what is on no item only matters to the numbering of events
        living = living.where(F.col("item_id").isNotNull())
    if facets == ("item",):
        linked = living.withColumn("links", F.lit(None).cast("string"))
    elif texts is None:
        written = _links(items, facets).withColumn("links", _written(F.col("links")))
        linked = living.join(written, on="item_id", how="left")
    else:
        linked = _linked_with_texts(living, items, facets, texts)
    kinds = F.array(*map(F.lit, config.events.types))
    return linked.select(
        "user_id",
        F.lit(False).alias("is_entity"),
        F.col("event_ts").alias("at"),
        _item_key(facets, F.col("item_id")),
        "links",
        (F.array_position(kinds, F.col("event_type")) - 1).cast("int").alias("event_type"),
        "weight",
        "born",
        "dies",
        *(("event_id",) if counting else ()),
    )


def _entities(entities: DataFrame, facets: tuple[str, ...]) -> DataFrame:
    """The stream's rows of entities, each once."""
    rows = entities.distinct()
    whole = F.lit(True)
    for name in entities.columns:
        whole = whole & F.col(name).isNotNull()
    asks = "facet" in entities.columns
    if asks:
        whole = whole & F.col("facet").isin(*facets)
    refusal = F.raise_error(
        F.lit(f"a row of entities has an empty column, or a facet not of {', '.join(facets)}")
    )
    own = [F.when(whole, F.col("user_id")).otherwise(refusal).alias("user_id")]
    own += [F.lit(True).alias("is_entity"), F.col("instant").alias("at")]
    if not asks:
        return rows.select(*own)
    is_item = F.col("facet") == "item"
    place = (F.array_position(F.array(*map(F.lit, facets)), F.col("facet")) - 1).cast("int")
    link = F.struct(place.alias("facet"), F.col("key"))
    return rows.select(
        *own,
        F.when(is_item, F.col("key")).alias("item_id"),
        F.when(~is_item, _written(F.array(link))).alias("links"),
    )


def _item_key(facets: tuple[str, ...], item_id: Column) -> Column:
    own = item_id if "item" in facets else F.lit(None).cast("string")
    return own.alias("item_id")


def _links(items: DataFrame, facets: tuple[str, ...]) -> DataFrame:
    """item_id and links: the keys an item has had beside itself, each with its times.

    Versions that follow each other with the same key are one time.
    """
    until = F.coalesce("valid_to", F.lit(_ENDLESS).cast("timestamp")).alias("until")
    keys = [_placed(place, keys_of(f)) for place, f in enumerate(facets) if f != "item"]
    own = ("item_id", "facet", "key")
    versions = items.select(
        "item_id", F.col("valid_from").alias("since"), until, F.explode(F.concat(*keys)).alias("of")
    ).select("item_id", "of.facet", "of.key", "since", "until")
    by_time = Window.partitionBy(*own).orderBy("since")
    so_far = by_time.rowsBetween(Window.unboundedPreceding, -1)
    begins = F.coalesce(F.col("since") > F.max("until").over(so_far), F.lit(True))
    until_here = by_time.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    end = F.nullif(F.max("until"), F.lit(_ENDLESS).cast("timestamp"))
    times = (
        versions.withColumn("begins", begins)
        .withColumn("time", F.sum(F.col("begins").cast("int")).over(until_here))
        .groupBy(*own, "time")
        .agg(F.min("since").alias("since"), end.alias("until"))
    )
    instants = [F.unix_micros(name).alias(name) for name in ("since", "until")]
    link = F.struct("facet", "key", *instants)
    return times.groupBy("item_id").agg(F.collect_list(link).alias("links"))


def _linked_with_texts(
    living: DataFrame, items: DataFrame, facets: tuple[str, ...], texts: DataFrame
) -> DataFrame:
    """Events whose item_id may name a text, with the links of both and the item alone.

    What a text says holds whatever its item's tags were, so that a key of both is the text's.
    """
    tag = F.lit(facets.index("tag"))
    ever = F.lit(None).cast("bigint")
    said = F.transform(
        F.array_distinct("tags"),
        lambda key: F.struct(
            tag.alias("facet"), key.alias("key"), ever.alias("since"), ever.alias("until")
        ),
    )
    by_text = texts.select("text_name", said.alias("said"))
    parts = {"text_name": text_of(F.col("item_id")), "item_id": item_of(F.col("item_id"))}
    joined = (
        living.withColumns(parts)
        .join(_links(items, facets), on="item_id", how="left")
        .join(by_text, on="text_name", how="left")
    )
    others = F.filter(
        "links",
        lambda link: (
            ~F.exists(
                "said", lambda own: (own["facet"] == link["facet"]) & (own["key"] == link["key"])
            )
        ),
    )
    links = F.when(F.col("said").isNull(), F.col("links")).otherwise(
        F.concat("said", F.coalesce(others, F.slice("said", 1, 0)))
    )
    return joined.withColumn("links", F.when(links.isNotNull(), _written(links)))


def _written(links: Column) -> Column:
    """As text: an array of structs takes Spark several times as long to hand over to Python."""
    return F.to_json(F.struct(links.alias("links")))


def _placed(place: int, keys: Column) -> Column:
    """Each key with the place of its facet."""
    return F.transform(
        F.array_compact(keys), lambda key: F.struct(F.lit(place).alias("facet"), key.alias("key"))
    )
