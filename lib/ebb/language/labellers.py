"""The labellers that there are."""

from __future__ import annotations

from collections.abc import Callable

from ebb.language.chat import ChatTagger
from ebb.language.encoder import Fitted
from ebb.language.encoders import encoder_of
from ebb.language.key_terms import TermTagger
from ebb.language.labeller import Labeller
from ebb.language.settings import AnyTagger, Chat, KeyTerms, Language, Topics, ZeroShot
from ebb.language.topics import TopicLabeller
from ebb.language.zero_shot import ZeroShotTagger


def labeller_of(
    settings: AnyTagger | Topics, language: Language, encoded: Callable[[], Fitted]
) -> Labeller:
    """What the configuration has give labels.

    Parameters
    ----------
    encoded : gives what the encoder learned that made the texts' vectors.
    """
    if isinstance(settings, KeyTerms):
        return TermTagger(settings)
    if isinstance(settings, ZeroShot):
        return ZeroShotTagger(settings, encoder_of(language.encoder), encoded)
    if isinstance(settings, Chat):
        return ChatTagger(settings)
    return TopicLabeller(settings)
