"""What a user is like as of an instant: how active, how regular, how broad, how changed.

One row a user with an event that counts. Activity comes from the events, entropy, keys and
divergence from the interests; each side is shuffled once, by user. Nothing here knows of the time
at or after as_of.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from ebb.config import EventType
from ebb.durations import days, format_duration
from ebb.features.settings import Features
from ebb.interests.columns import age_days
from ebb.interests.measures import Drift, Interests
from ebb.interests.profile import plain_share

_MICROS_AN_HOUR = 3_600_000_000
_MICROS_A_DAY = 24 * _MICROS_AN_HOUR
_OVER_FACETS = "map<string,double>"


def user_features(
    events: DataFrame,
    interests: DataFrame,
    settings: Features,
    measured: Interests,
    types: Mapping[str, EventType],
    as_of: datetime,
) -> DataFrame:
    """Describe every user with an event by that user's events and interests before `as_of`.

    Parameters
    ----------
    events : counted events (`counted.counted`): user_id, item_id (empty for itemless types),
        event_type, event_ts; strictly before `as_of`, cancellations applied.
    interests : interests at `as_of`, every key of a facet (no top-k cut): user_id, facet, key and
        the columns of the measures that `measured` names in rank_by and drift.
    measured : the section of the configuration that made `interests`.
    types : the configured event types.

    Returns
    -------
    DataFrame, one row a user, of as_of, user_id and, with t_1 <= ... <= t_n the instants of the
    user's events and g_i = t_(i+1) - t_i the n - 1 gaps between them:

    - ``n`` [events], ``first_ts`` = t_1, ``last_ts`` = t_n [UTC instants];
    - ``recency_days`` = as_of - t_n, ``tenure_days`` = as_of - t_1 [days]: R, F (n) and T of the
      RFM tradition (Fader, Hardie & Lee 2005);
    - ``active_days`` [days]: distinct UTC days with an event;
    - ``events_in`` [events], by window: those with as_of - window <= t. A window is named in its
      largest unit of d, h, min, s: 2w is ``14d``;
    - ``by_type`` [events], by type: each configured type but cancelling ones, which never count;
    - ``sessions`` [sessions] = 1 + number of gaps strictly above `session_gap`. A timeout between
      events is how sessions are cut since Catledge & Pitkow (1995), who found 25.5 minutes;
    - ``events_per_session`` = n / sessions [events];
    - ``mean_gap_hours``, ``median_gap_hours`` (the mean of the middle two if they are even in
      number), ``gap_deviation_hours`` = sqrt(mean of (g - mean)^2) [hours]; empty with one event.
      Deviation above mean is a bursty user, below it a regular one (Goh & Barabasi 2008);
    - ``repeat_share`` [0, 1] = 1 - distinct items / events with an item: the part of them whose
      item the user had met before (Anderson, Kumar, Tomkins & Vassilvitskii 2014); empty without
      such events;
    - with p_k the plain share of key k in its facet by the measure `rank_by`, x_k = max(x, 0) over
      the facet's sum of it, whatever `interests.share` says:
      ``entropy`` [bits], by facet: - sum_k p_k log2 p_k (Shannon 1948), 0 for one key and log2 of
      their number for equal ones; facets without a positive share are absent;
      ``keys`` [keys], by facet: those with p_k > 0;
    - ``divergence`` [0, 1], by facet: with p and q the plain shares by `drift.long` and
      `drift.short` and m = (p + q) / 2, the Jensen-Shannon distance
      sqrt(1/2 sum_k p_k log2(p_k / m_k) + 1/2 sum_k q_k log2(q_k / m_k)): 0 for equal
      distributions, 1 for such as have no key in common. Its square is the divergence of
      Lin (1991); the root is a metric (Endres & Schindelin 2003). Facets of which either has
      nothing left are absent; the column is empty where drift isn't configured.

    Maps are in the order of configuration, those by facet in alphabetical order.

    References
    ----------
    Anderson, Kumar, Tomkins & Vassilvitskii (2014), The dynamics of repeat consumption, WWW.
    Catledge & Pitkow (1995), Characterizing browsing strategies in the World-Wide Web, WWW.
    Endres & Schindelin (2003), A new metric for probability distributions, IEEE Trans. Inf. Th.
    Fader, Hardie & Lee (2005), RFM and CLV: using iso-value curves, J. of Marketing Research.
    Goh & Barabasi (2008), Burstiness and memory in complex systems, Europhysics Letters.
    Lin (1991), Divergence measures based on the Shannon entropy, IEEE Trans. Inf. Th.
    Shannon (1948), A mathematical theory of communication, Bell System Technical Journal.
    """
    activity = _activity(events, settings, types, as_of)
    breadth = _breadth(interests, measured)
    joined = activity.join(breadth, on="user_id", how="left")
    # Somebody who only ever searched has events and no interests.
    divergence = _or_empty("divergence", _OVER_FACETS) if measured.drift else F.lit(None)
    return joined.select(
        F.lit(as_of).alias("as_of"),
        *activity.columns,
        _or_empty("entropy", _OVER_FACETS).alias("entropy"),
        _or_empty("keys", "map<string,bigint>").alias("keys"),
        divergence.cast(_OVER_FACETS).alias("divergence"),
    )


# --------------------------------------------------------------------------- from events
def _activity(
    events: DataFrame, settings: Features, types: Mapping[str, EventType], as_of: datetime
) -> DataFrame:
    age = age_days(as_of, F.col("event_ts"))
    hours = F.col("gap") / F.lit(float(_MICROS_AN_HOUR))
    sessions = F.count_if(_starts_session(settings.session_gap))
    with_item = F.count("item_id")
    return (
        _with_past(events)
        .groupBy("user_id")
        .agg(
            F.count(F.lit(1)).alias("n"),
            F.min("event_ts").alias("first_ts"),
            F.max("event_ts").alias("last_ts"),
            F.min(age).alias("recency_days"),
            F.max(age).alias("tenure_days"),
            F.count_if("starts_day").alias("active_days"),
            _events_in(settings, age).alias("events_in"),
            _by_type(types).alias("by_type"),
            sessions.alias("sessions"),
            (F.count(F.lit(1)) / sessions).alias("events_per_session"),
            F.avg(hours).alias("mean_gap_hours"),
            F.avg(F.when(F.col("is_middle"), hours)).alias("median_gap_hours"),
            # Of all gaps that there were, not a sample of them: one gap deviates by 0.
            F.stddev_pop(hours).alias("gap_deviation_hours"),
            F.try_divide(F.count_if("repeated"), with_item).alias("repeat_share"),
        )
    )


def _with_past(events: DataFrame) -> DataFrame:
    """Events by user, each with what the one before it says.

    Adds gap (microseconds since the user's event before; empty for the first), starts_day (the
    first of its UTC day), repeated (the user had met its item; false without an item) and
    is_middle (its gap is the middle one, or one of the middle two). Events of one instant may
    change places: no feature tells them apart.
    """
    micros = F.unix_micros("event_ts")
    by_user = events.select(
        "user_id",
        "item_id",
        "event_type",
        "event_ts",
        F.floor(micros / F.lit(_MICROS_A_DAY)).alias("day"),
    ).repartition("user_id")
    pair = Window.partitionBy("user_id", "item_id").orderBy("event_ts")
    user = Window.partitionBy("user_id").orderBy("event_ts")
    repeated = F.col("item_id").isNotNull() & (F.row_number().over(pair) > 1)
    # Sorting the gaps takes a quarter less CPU than F.median, and spills where a user has many.
    # With the empty gap in place 1, those of n events are in places 2 to n, the middle n / 2 + 1.
    user_gaps = Window.partitionBy("user_id")
    place = F.row_number().over(user_gaps.orderBy(F.col("gap").asc_nulls_first()))
    off_middle = 2 * place - (F.count(F.lit(1)).over(user_gaps) + 2)
    return (
        by_user.withColumn("repeated", repeated)
        .withColumn("gap", micros - F.lag(micros).over(user))
        .withColumn("starts_day", ~F.col("day").eqNullSafe(F.lag("day").over(user)))
        .withColumn("is_middle", F.abs(off_middle) <= 1)
    )


def _starts_session(session_gap: timedelta) -> Column:
    longest = session_gap // timedelta(microseconds=1)
    return F.col("gap").isNull() | (F.col("gap") > F.lit(longest))


def _events_in(settings: Features, age: Column) -> Column:
    counts = {
        format_duration(length): F.count_if(age <= F.lit(days(length)))
        for length in settings.activity
    }
    return _map_of(counts)


def _by_type(types: Mapping[str, EventType]) -> Column:
    adding = [name for name, kind in types.items() if kind.effect not in ("cancel", "shown")]
    return _map_of({name: F.count_if(F.col("event_type") == name) for name in adding})


def _map_of(values: Mapping[str, Column]) -> Column:
    return F.create_map(*(part for name, value in values.items() for part in (F.lit(name), value)))


# --------------------------------------------------------------------------- from interests
def _breadth(interests: DataFrame, measured: Interests) -> DataFrame:
    """user_id, entropy, keys and, where drift is configured, divergence: maps by facet."""
    values = {"entropy": _entropy(F.col("p")), "keys": F.count_if(F.col("p") > 0)}
    shares = {"p": plain_share(measured.rank_by)}
    if measured.drift is not None:
        shares |= _drift_shares(measured.drift)
        values["divergence"] = _divergence(F.col("long"), F.col("short"))
    by_facet = (
        interests.repartition("user_id")
        .select("user_id", "facet", *(share.alias(name) for name, share in shares.items()))
        .groupBy("user_id", "facet")
        .agg(*(value.alias(name) for name, value in values.items()))
    )
    maps = [_by_facet(name).alias(name) for name in values]
    return by_facet.groupBy("user_id").agg(*maps)


def _drift_shares(drift: Drift) -> dict[str, Column]:
    return {"long": plain_share(drift.long), "short": plain_share(drift.short)}


def _entropy(p: Column) -> Column:
    """Bits. Spark's log2(0) is null and drops out, as 0 log 0 should; no shares, no entropy."""
    # Adding 0.0 makes the -0.0 of a single key 0.
    return -F.sum(p * F.log2(p)) + F.lit(0.0)


def _divergence(p: Column, q: Column) -> Column:
    """Jensen-Shannon distance of two columns of shares; null where either is.

    With s = p + q and d = (p - q) / s, a key adds s/4 ((1 + d) log2(1 + d) + (1 - d) log2(1 - d)).
    log1p keeps all digits of a small d: the root of the rounding of p log2(p / m) would be 1e-8.
    """
    s = p + q
    d = F.when(s > 0, (p - q) / s)
    bits = s / 4 * (_times_log1p(d) + _times_log1p(-d)) / F.lit(math.log(2))
    distance = F.sqrt(F.least(F.greatest(F.sum(bits), F.lit(0.0)), F.lit(1.0)))
    return F.when(F.count(d) > 0, distance)


def _times_log1p(d: Column) -> Column:
    """(1 + d) ln(1 + d): 0 at d = -1, where Spark's log1p is null."""
    return F.when(d > -1, (1 + d) * F.log1p(d)).when(d == -1, F.lit(0.0))


def _by_facet(name: str) -> Column:
    """A map of the values that there are; sorted, so that it reads the same every night."""
    entry = F.when(F.col(name).isNotNull(), F.struct("facet", name))
    return F.map_from_entries(F.array_sort(F.collect_list(entry)))


def _or_empty(name: str, kind: str) -> Column:
    return F.coalesce(F.col(name), F.create_map().cast(kind))
