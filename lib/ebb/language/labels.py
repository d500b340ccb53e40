"""Which tags and topics items have at an instant: what makes them, and which of it holds then.

The readers with Spark (`labelled.py`) and without (`labelled_table.py`) both go by this. Pure
Python; never imports Spark.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ebb.config import Config
from ebb.language.held import held_at
from ebb.language.settings import AnyTagger, Language, Topics
from ebb.stamps import Commit

# By facet, the step that fits what labels items with its keys.
STEPS = {"tag": "tagger", "topic": "topics"}
_TEXTS = ("items", "language.fields", "language.characters")


@dataclass(frozen=True)
class Labels:
    """What labels items; kept in the facts of the commits of `interest_state`.

    Attributes
    ----------
    language : how texts are made.
    configs : by facet, the hash of the settings under which its labels are made.
    """

    language: Language
    configs: Mapping[str, str]

    @staticmethod
    def of(config: Config, facets: Iterable[str]) -> Labels | None:
        """Those that a configuration makes for some facets; None where it makes none."""
        wanted = [facet for facet in made(config) if facet in facets]
        configs = {facet: config.fingerprint(*sections_of(config, facet)) for facet in wanted}
        return Labels(config.language, configs) if config.language and configs else None

    @property
    def told(self) -> tuple[str, ...]:
        """Types of events whose texts give keys."""
        return (self.language.events or ()) if "tag" in self.configs else ()

    def to_facts(self) -> dict[str, Any]:
        return {"language": self.language.model_dump(mode="json"), "configs": dict(self.configs)}

    @staticmethod
    def from_facts(facts: dict[str, Any]) -> Labels:
        return Labels(Language.model_validate(facts["language"]), facts["configs"])

    def versions_at(
        self, newest_first: Callable[[], Iterable[Commit]], as_of: datetime
    ) -> dict[str, str]:
        """By facet, the version of the labels that hold at an instant; without those not there yet.

        Parameters
        ----------
        newest_first : gives the commits of `labellers`, newest first.
        """
        found: dict[str, str] = {}
        for facet, config in self.configs.items():
            held = held_at(newest_first(), STEPS[facet], config, as_of)
            if held is not None and held.stamp is not None:
                found[facet] = held.stamp.facts["version"]
        return found


def made(config: Config) -> dict[str, AnyTagger | Topics]:
    """By facet, the settings of what a configuration has give labels."""
    language = config.language
    wanted = {"tag": language and language.tagger, "topic": language and language.topics}
    return {facet: settings for facet, settings in wanted.items() if settings}


def sections_of(config: Config, facet: str) -> tuple[str, ...]:
    """The settings that the labels of a facet hang on."""
    if facet == "topic":
        return (*_TEXTS, "language.encoder", "language.topics")
    tagger = config.language.tagger if config.language else None
    by_vectors = ("language.encoder",) if reads_vectors(tagger) else ()
    return (*_TEXTS, *by_vectors, "language.tagger")


def reads_vectors(tagger: AnyTagger | None) -> bool:
    """Whether a tagger looks at texts' vectors."""
    return tagger is not None and tagger.kind == "zero_shot"
