"""The box of features: what users and items are like as of the night, where configured."""

from __future__ import annotations

from ebb.boxes.inputs import counted_events
from ebb.boxes.interests import inputs_of_interests, night_interests
from ebb.boxes.labels import sections_of_keys
from ebb.context import Night
from ebb.events.catalogue import versions_at
from ebb.features.items import item_features
from ebb.features.users import user_features
from ebb.schema import ITEM_FEATURES, ITEMS, USER_FEATURES
from ebb.steps import Outcome, RunLog, StepRun, run_step, stamp_for
from ebb.tables import Stamp

_SECTIONS = ("events", "items", "interests", "features")


def features(night: Night, log: RunLog) -> Outcome | None:
    """Write `user_features` and `item_features`; their cost is that of everybody's events."""
    settings, config, tables = night.config.features, night.config, night.tables
    if settings is None:
        return None

    def work(stamp: Stamp) -> StepRun:
        events, interests = counted_events(night), night_interests(night)
        of_users = user_features(
            events, interests, settings, config.interests, config.events.types, night.as_of
        )
        users = tables.write_slice(USER_FEATURES, of_users, stamp)
        known = versions_at(tables.read(ITEMS), night.as_of)
        # Items come last: their commit says that both are there.
        items = tables.write_slice(
            ITEM_FEATURES, item_features(events, known, settings, night.as_of), stamp
        )
        counts = {"user_features": users.rows_written, "item_features": items.rows_written}
        return StepRun(counts, "{:,} users, {:,} items".format(*counts.values()))

    sections = (*_SECTIONS, *sections_of_keys(night))
    stamp = stamp_for(night, "features", sections, inputs_of_interests(night))
    return run_step(night, log, ITEM_FEATURES, stamp, work)
