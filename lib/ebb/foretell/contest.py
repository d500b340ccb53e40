"""Whether the network may foretell: held against the decayed baseline on periods held out.

Pure numpy; never imports Spark or torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ebb.evaluate.significance import ONE_SIDED, Interval, across_windows
from ebb.foretell.pasts import Doubles


@dataclass(frozen=True)
class Judged:
    """Of one held-out period's users the sum of losses.

    Attributes
    ----------
    network, decayed : (users,). units : (users,) what the losses are sums over.
    """

    network: Doubles
    decayed: Doubles
    units: Doubles

    @property
    def ahead(self) -> Doubles:
        """(users,) decayed less network, over the mean user's units: its mean is one over units."""
        each = float(self.units.mean()) or 1.0
        ahead: Doubles = (self.decayed - self.network) / each
        return ahead


@dataclass(frozen=True)
class Verdict:
    """How the network did.

    Attributes
    ----------
    serves : whether it is ahead by more than noise.
    network, decayed : mean loss over all units.
    ahead : decayed less network, as `across_windows` has it.
    """

    serves: bool
    network: float
    decayed: float
    ahead: Interval

    @property
    def sentence(self) -> str:
        who = "the network" if self.serves else "the decayed past"
        why = "" if self.serves else ", no more than noise"
        return (
            f"foretold by {who}: loss {self.network:.4f} against {self.decayed:.4f}, ahead by "
            f"{self.ahead.value:+.4f} [{self.ahead.low:+.4f}, {self.ahead.high:+.4f}]{why}"
        )


def verdict(judged: Sequence[Judged]) -> Verdict | None:
    """None where nothing happened that a loss could be taken of.

    Parameters
    ----------
    judged : the periods held out.
    """
    asked = [one for one in judged if one.units.sum() > 0]
    if not asked:
        return None
    units, network, decayed = (
        float(sum(getattr(one, name).sum() for one in asked))
        for name in ("units", "network", "decayed")
    )
    ahead = across_windows([one.ahead for one in asked], level=ONE_SIDED)
    return Verdict(ahead.low > 0, network / units, decayed / units, ahead)
