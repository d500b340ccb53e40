"""Frames spread over tasks by what their work costs, not by their bytes."""

from __future__ import annotations

from pyspark.sql import DataFrame


def spread_by_user(frame: DataFrame) -> DataFrame:
    """A user's rows together, in `spark.sql.shuffle.partitions` partitions.

    The number is named, which keeps the adaptive planner from merging partitions that are small in
    bytes: where work costs by the user, Spark thinks too little of it.
    """
    partitions = int(frame.sparkSession.conf.get("spark.sql.shuffle.partitions") or "200")
    return frame.repartition(partitions, "user_id")
