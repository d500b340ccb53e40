"""The box of texts: fits the encoder where it is due, and encodes the texts that it hasn't met."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ebb.boxes.given import take_given
from ebb.boxes.inputs import versions
from ebb.context import Night
from ebb.durations import format_instant
from ebb.language.encoder import Encoder, Fitted
from ebb.language.encoders import encoder_of
from ebb.language.given import given_at, version_given
from ebb.language.held import held_at, serving_since
from ebb.language.labels import reads_vectors
from ebb.language.settings import Given, Language
from ebb.language.texts import texts_at, texts_before, texts_of_events
from ebb.models.projection import Texts
from ebb.recommend.features import CONTENT
from ebb.schema import EVENTS, ITEM_VECTORS, ITEMS, TEXT_ENCODERS, Table
from ebb.steps import Outcome, RunLog, StepRun, run_step, stamp_for
from ebb.storage import stored
from ebb.tables import Commit, Stamp

_SECTIONS = ("items", "language.fields", "language.characters", "language.encoder")
_FIT, _ENCODE = "text encoder", "vectors"


def vectors(night: Night, log: RunLog) -> Outcome | None:
    """Encode every text known at the night's as_of that its encoder hasn't encoded yet."""
    settings = night.config.language
    if settings is None:
        return None
    if isinstance(settings.encoder, Given):
        return take_given(night, log, settings.encoder)
    encoder = encoder_of(settings.encoder)
    held = _held(night, log, settings, encoder)
    made_by = fitted_by(night, held)
    events = settings.events is not None and reads_vectors(settings.tagger)

    def work(stamp: Stamp) -> StepRun:
        with stored(unmet_texts(night, settings, ITEM_VECTORS, made_by.version, events)) as texts:
            rows = encoder.encode(texts, made_by).select(
                F.lit(made_by.version).alias("version"),
                "*",
                F.lit(night.as_of).alias("as_of"),
                F.lit(None).cast("timestamp").alias("valid_from"),
            )
            own = f"as_of = timestamp'{format_instant(night.as_of)}'"
            written = night.tables.replace(ITEM_VECTORS, rows, own, stamp).rows_written
            waiting = texts.count() - written
        remark = f"{written:,} texts encoded by {settings.encoder.kind}"
        if waiting:
            remark += f"; {waiting:,} wait for the next night"
        return StepRun({"vectors": written, "waiting": waiting}, remark)

    inputs = {**versions(night, ITEMS), TEXT_ENCODERS.name: held.version}
    if events:
        inputs |= versions(night, EVENTS)
    sections = (*_SECTIONS, *(("language.events",) if events else ()))
    stamp = stamp_for(night, _ENCODE, sections, inputs)
    return run_step(night, log, ITEM_VECTORS, stamp, work)


def version_made(night: Night) -> dict[str, int]:
    """The version of `item_vectors` that the night made, by the table's name; none without."""
    made = night.tables.commit_of(ITEM_VECTORS, _ENCODE, night.as_of)
    return {} if made is None else {ITEM_VECTORS.name: made.version}


def with_vectors(night: Night, item_factors: DataFrame, as_of: datetime) -> DataFrame:
    """Factors of items, and the vectors of the texts that items had at an instant.

    They are by the encoder that held at `as_of` or, before the first was fitted, by the earliest:
    texts alone were learned from, never what people did.

    Parameters
    ----------
    item_factors : model, item_id, factors.
    as_of : the night's, or the beginning of a label window before it.
    """
    found = _vectors_at(night, as_of)
    if found is None:
        return item_factors
    named = (F.lit(CONTENT).alias("model"), "item_id", F.col("vector").alias("factors"))
    return item_factors.unionByName(found.select(*named))


def texts_to_project(night: Night, as_of: datetime) -> Texts | None:
    """The vectors that a projection is learned on at an instant; None where none is wanted.

    Parameters
    ----------
    as_of : as of `with_vectors`.
    """
    settings = night.config.language
    if settings is None or settings.projection is None:
        return None
    found = _vectors_at(night, as_of)
    return None if found is None else Texts(found.select("item_id", "vector"), settings.projection)


def _vectors_at(night: Night, as_of: datetime) -> DataFrame | None:
    """The texts that items had at an instant, with their vectors by the encoder that held then; or
    the vectors that were given."""
    settings = night.config.language
    if settings is not None and isinstance(settings.encoder, Given):
        version = version_given(settings.encoder)
        return given_at(night.tables.read(ITEM_VECTORS), version, as_of)
    held = None if settings is None else encoder_at(night, as_of)
    if settings is None or held is None:
        return None
    return vectors_of(night, held, texts_at(night.tables.read(ITEMS), as_of, settings))


def vectors_of(night: Night, encoder: Commit, texts: DataFrame) -> DataFrame:
    """Texts with their vectors by an encoder: without those that wait for one.

    Parameters
    ----------
    texts : item_id, text_hash, and whatever else.
    """
    if encoder.stamp is None:
        raise ValueError("an encoder is named by its commit")
    made = night.tables.read(ITEM_VECTORS).where(F.col("version") == encoder.stamp.facts["version"])
    own = made.select("item_id", "text_hash", "vector")
    return texts.join(own, on=["item_id", "text_hash"], how="inner")


def unmet_texts(
    night: Night, settings: Language, table: Table, version: str, events: bool
) -> DataFrame:
    """Texts of which no other night has put anything of a version into a table, spread over
    tasks.

    Parameters
    ----------
    events : those of events are among them.
    """
    tables = night.tables
    made = tables.read(table).where(
        (F.col("version") == version) & (F.col("as_of") != F.lit(night.as_of))
    )
    texts = texts_before(tables.read(ITEMS), night.as_of, settings)
    if events:
        texts = texts.unionByName(texts_of_events(tables.read(EVENTS), night.as_of, settings))
    unmet = texts.join(made, on=["item_id", "text_hash"], how="left_anti")
    return unmet.repartition(night.config.spark.shuffle_partitions, "item_id")


# --------------------------------------------------------------------------- the encoder
def _held(night: Night, log: RunLog, settings: Language, encoder: Encoder) -> Commit:
    """The encoder of the night, fitted now where the last one is too old."""
    last = encoder_at(night, night.as_of)
    since = last and serving_since(last, settings.encoder.every, night.as_of)
    if last and since:
        night.progress.say(f"{_FIT} … kept from {since:%Y-%m-%d}")
        return last

    def work(stamp: Stamp) -> StepRun:
        with stored(texts_at(night.tables.read(ITEMS), night.as_of, settings)) as texts:
            fitted, count = encoder.fit(texts), texts.count()
        parameters = {key: str(v) for key, v in settings.encoder.model_dump(mode="json").items()}
        row = (
            night.as_of, fitted.version, settings.encoder.kind, parameters, count, fitted.model,
            dict(stamp.inputs),
        )  # fmt: skip
        made = replace(stamp, facts={**stamp.facts, "version": fitted.version})
        rows = night.spark.createDataFrame([row], TEXT_ENCODERS.schema).coalesce(1)
        night.tables.write_slice(TEXT_ENCODERS, rows, made)
        return StepRun({"texts": count}, f"{settings.encoder.kind}, {count:,} texts")

    stamp = stamp_for(night, _FIT, _SECTIONS, versions(night, ITEMS))
    # Vectors hang on it: texts that came late are encoded, and learned from the next time.
    return run_step(night, log, TEXT_ENCODERS, stamp, work, published=True).commit


def encoder_at(night: Night, as_of: datetime) -> Commit | None:
    """The encoder that holds at an instant under the night's configuration."""
    wanted = night.config.fingerprint(*_SECTIONS)
    return held_at(night.tables.newest_first(TEXT_ENCODERS), _FIT, wanted, as_of)


def fitted_by(night: Night, held: Commit) -> Fitted:
    """What an encoder learned, from its commit."""
    return fitted_in(registered(night, TEXT_ENCODERS, held))


def registered(night: Night, registry: Table, held: Commit) -> DataFrame:
    """What a registry has of the night of a commit."""
    if held.stamp is None or held.stamp.as_of is None:
        raise ValueError(f"a fit in {registry.name} is kept by as_of")
    return night.tables.read_slice(registry, held.stamp.as_of)


def fitted_in(rows: DataFrame) -> Fitted:
    """What the one row of a registry says was learned."""
    row = rows.select("version", "model").first()
    if row is None:
        raise RuntimeError("something was fitted on texts and can't be found")
    return Fitted(row["version"], bytes(row["model"]))
