"""The boxes of tags and topics: fit what gives them where it is due, and label the texts that it
hasn't met.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ebb.boxes.answers import remark_of, trouble_of
from ebb.boxes.inputs import versions
from ebb.boxes.vectors import (
    encoder_at,
    fitted_by,
    fitted_in,
    registered,
    unmet_texts,
    vectors_of,
    version_made,
)
from ebb.context import Night
from ebb.durations import format_instant
from ebb.language.encoder import Fitted
from ebb.language.held import held_at, serving_since
from ebb.language.labelled import labelled_items
from ebb.language.labeller import Labeller
from ebb.language.labellers import labeller_of
from ebb.language.labels import STEPS, Labels, made, sections_of
from ebb.language.settings import AnyTagger, Language, Topics
from ebb.language.texts import texts_at
from ebb.language.topics import topics_of
from ebb.schema import EVENTS, ITEM_TAGS, ITEMS, LABELLERS, TEXT_ENCODERS, TOPICS
from ebb.steps import Outcome, RunLog, StepRun, run_step, stamp_for
from ebb.storage import stored
from ebb.tables import Commit, Stamp

# By facet, the step that labels.
_LABEL = {"tag": "tags", "topic": "items' topics"}


def labels(night: Night, log: RunLog) -> list[Outcome]:
    """Give every text known at the night's as_of the labels that it lacks."""
    language = night.config.language
    if language is None:
        return []
    asked = made(night.config).items()
    return [_label(_Labelling.of(night, language, *one), log) for one in asked]


def labels_made(night: Night, facets: Iterable[str]) -> dict[str, int]:
    """The versions of `item_tags` that the night made for some facets, by their names."""
    commits = {
        facet: night.tables.commit_of(ITEM_TAGS, _LABEL[facet], night.as_of)
        for facet in made(night.config)
        if facet in facets
    }
    return {_LABEL[facet]: commit.version for facet, commit in commits.items() if commit}


def sections_of_keys(night: Night) -> tuple[str, ...]:
    """The section that the keys of items hang on, where anything but the catalogue gives some."""
    return ("language",) if made(night.config) else ()


def items_in(night: Night, facets: Iterable[str], as_of: datetime) -> DataFrame:
    """All versions of the table `items`, with the labels that hold at an instant."""
    return labelled_items(night.tables, Labels.of(night.config, facets), as_of)


@dataclass(frozen=True)
class _Labelling:
    """A facet's labels in one night.

    Attributes
    ----------
    encoder : of the vectors that the labeller looks at; None where it looks at none.
    """

    night: Night
    language: Language
    facet: str
    labeller: Labeller
    encoder: Commit | None

    @staticmethod
    def of(
        night: Night, language: Language, facet: str, settings: AnyTagger | Topics
    ) -> _Labelling:
        held = encoder_at(night, night.as_of)

        def encoded() -> Fitted:
            if held is None:
                raise RuntimeError("texts are encoded before they are labelled")
            return fitted_by(night, held)

        labeller = labeller_of(settings, language, encoded)
        return _Labelling(night, language, facet, labeller, held if labeller.by_vectors else None)

    def inputs(self) -> dict[str, int]:
        """What a fit is made from."""
        encoder = {TEXT_ENCODERS.name: self.encoder.version} if self.encoder else {}
        return {**versions(self.night, ITEMS), **encoder}

    def with_vectors(self, texts: DataFrame) -> DataFrame:
        """Texts, and where the labeller looks at them their vectors: without those that wait."""
        return texts if self.encoder is None else vectors_of(self.night, self.encoder, texts)


def _label(one: _Labelling, log: RunLog) -> Outcome:
    night, tables, facet = one.night, one.night.tables, one.facet
    held = _held(one, log)
    made_by = fitted_in(registered(night, LABELLERS, held).where(F.col("facet") == facet))
    events = facet == "tag" and one.language.events is not None

    def work(stamp: Stamp) -> StepRun:
        unmet = unmet_texts(night, one.language, ITEM_TAGS, made_by.version, events)
        with stored(unmet) as texts:
            rows = one.labeller.label(one.with_vectors(texts), made_by).select(
                F.lit(made_by.version).alias("version"),
                F.lit(facet).alias("facet"),
                "*",
                F.lit(night.as_of).alias("as_of"),
            )
            own = f"as_of = timestamp'{format_instant(night.as_of)}' AND facet = '{facet}'"
            written = tables.replace(ITEM_TAGS, rows, own, stamp).rows_written
            waiting = texts.count() - written
        trouble = trouble_of(_answers(one, made_by.version))
        done = f"{written:,} texts by {one.labeller.settings.kind}"
        counts = {"labelled": written, "waiting": waiting, **trouble}
        return StepRun(counts, remark_of(done, waiting, trouble))

    inputs = {**one.inputs(), LABELLERS.name: held.version}
    sections = sections_of(night.config, facet)
    if one.encoder:
        inputs |= version_made(night)
    if events:
        inputs |= versions(night, EVENTS)
        sections = (*sections, "language.events")
    stamp = stamp_for(night, _LABEL[facet], sections, inputs)
    return run_step(night, log, ITEM_TAGS, stamp, work)


def _answers(one: _Labelling, version: str) -> DataFrame:
    """What the night put into the table."""
    return one.night.tables.read(ITEM_TAGS).where(
        (F.col("version") == version) & (F.col("as_of") == F.lit(one.night.as_of))
    )


# -------------------------------------------------------------------------- the labeller
def _held(one: _Labelling, log: RunLog) -> Commit:
    """The labeller of the night, fitted now where the last one is too old."""
    night, step, sections = one.night, STEPS[one.facet], sections_of(one.night.config, one.facet)
    wanted = night.config.fingerprint(*sections)
    last = held_at(night.tables.newest_first(LABELLERS), step, wanted, night.as_of)
    if last is not None and _serves(one, last):
        night.progress.say(f"{step} … kept")
        return last

    def work(stamp: Stamp) -> StepRun:
        texts = one.with_vectors(texts_at(night.tables.read(ITEMS), night.as_of, one.language))
        with stored(texts) as known:
            fitted, count = one.labeller.fit(known), known.count()
        return _register(one, fitted, count, stamp)

    stamp = stamp_for(night, step, sections, one.inputs())
    # Labels hang on it: texts that came late are labelled, and learned from the next time.
    return run_step(night, log, LABELLERS, stamp, work, published=True).commit


def _serves(one: _Labelling, last: Commit) -> bool:
    """Whether an earlier night's labeller is young enough, and knows the encoder of the night."""
    if last.stamp is None or not serving_since(last, one.labeller.settings.every, one.night.as_of):
        return False
    return last.stamp.inputs.get(TEXT_ENCODERS.name) == one.inputs().get(TEXT_ENCODERS.name)


def _register(one: _Labelling, fitted: Fitted, count: int, stamp: Stamp) -> StepRun:
    night, settings = one.night, one.labeller.settings
    parameters = {key: str(value) for key, value in settings.model_dump(mode="json").items()}
    row = (
        night.as_of, one.facet, fitted.version, settings.kind, parameters, count, fitted.model,
        dict(stamp.inputs),
    )  # fmt: skip
    rows = night.spark.createDataFrame([row], LABELLERS.schema).coalesce(1)
    own = f"as_of = timestamp'{format_instant(night.as_of)}' AND facet = '{one.facet}'"
    named = replace(stamp, facts={**stamp.facts, "version": fitted.version})
    if one.facet == "topic":
        _write_topics(night, fitted, stamp)
    # It comes last: its commit says that all is there.
    night.tables.replace(LABELLERS, rows, own, named)
    return StepRun({"texts": count}, f"{one.labeller.settings.kind}, {count:,} texts")


def _write_topics(night: Night, fitted: Fitted, stamp: Stamp) -> None:
    rows = night.spark.createDataFrame(topics_of(fitted)).coalesce(1)
    named = rows.withColumns({"as_of": F.lit(night.as_of), "version": F.lit(fitted.version)})
    night.tables.write_slice(TOPICS, named, stamp)
