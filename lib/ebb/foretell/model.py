"""A foreteller as bytes, as it is kept and brought to executors. Needs torch."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from pyspark import SparkContext

from ebb.digits import significant_array
from ebb.foretell.losses import foretold, losses
from ebb.foretell.network import Network
from ebb.foretell.pasts import Doubles, Pasts
from ebb.foretell.settings import Foretell
from ebb.foretell.training import Baseline, fit_baseline, fit_network
from ebb.shipped import ship_bytes, shipped

_ROWS_AT_ONCE = 65_536


@dataclass(frozen=True)
class Foreteller:
    """The network and the decayed baseline, fitted on the same rows.

    The network reckons in double precision, so that what a row gets hangs on no other row.
    """

    settings: Foretell
    network: Network
    baseline: Baseline

    @staticmethod
    def fitted(pasts: Pasts, settings: Foretell) -> Foreteller:
        """Both fitted on some rows."""
        baseline = fit_baseline(pasts, settings.loss)
        return Foreteller(settings, fit_network(pasts, settings, baseline).double(), baseline)

    @staticmethod
    def of(raw: bytes) -> Foreteller:
        """From its bytes, ready to be asked."""
        known = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
        settings = Foretell.model_validate_json(known["settings"])
        network = Network(settings)
        network.load_state_dict(known["network"])
        return Foreteller(settings, network.eval().double(), Baseline(*known["baseline"]))

    def to_bytes(self) -> bytes:
        """What `of` reads."""
        buffer, line = io.BytesIO(), self.baseline
        known = {
            "settings": self.settings.model_dump_json(),
            "network": self.network.state_dict(),
            "baseline": [line.column, line.intercept, line.slope],
        }
        torch.save(known, buffer)
        return buffer.getvalue()

    def scores(self, pasts: Pasts) -> dict[str, Doubles]:
        """(rows,) by ``network`` and by ``decayed``."""
        return {"network": self._network(pasts), "decayed": self.baseline.scores(pasts)}

    def foretold(self, pasts: Pasts) -> dict[str, Doubles]:
        """The same as `next_interests` has them, to 6 significant digits."""
        group = torch.from_numpy(pasts.numbered)
        return {
            name: significant_array(
                foretold(self.settings.loss, torch.from_numpy(one), group, pasts.groups).numpy()
            )
            for name, one in self.scores(pasts).items()
        }

    def losses(self, pasts: Pasts) -> tuple[dict[str, Doubles], Doubles]:
        """(groups,) of both the sums of losses, and how many units these are of."""
        label, group = torch.from_numpy(pasts.label), torch.from_numpy(pasts.numbered)
        sums, units = {}, np.zeros(pasts.groups)
        for name, one in self.scores(pasts).items():
            found, many = losses(
                self.settings.loss, torch.from_numpy(one), label, group, pasts.groups
            )
            sums[name], units = found.numpy(), many.numpy()
        return sums, units

    def _network(self, pasts: Pasts) -> Doubles:
        found = [np.zeros(0)]
        with torch.inference_mode():
            for first in range(0, len(pasts), _ROWS_AT_ONCE):
                own = slice(first, first + _ROWS_AT_ONCE)
                read = (
                    torch.from_numpy(one[own]).double() for one in (pasts.features, pasts.steps)
                )
                found.append(self.network(*read).numpy())
        return np.concatenate(found)


def ship_foreteller(context: SparkContext, raw: bytes) -> str:
    """Have Spark bring it to each executor; returns its name."""
    return ship_bytes(context, ".pt", raw)


@lru_cache(maxsize=2)
def shipped_foreteller(name: str) -> Foreteller:
    """Load a shipped one, in a Python worker; once a process."""
    # Spark has a worker a core.
    torch.set_num_threads(1)
    return Foreteller.of(shipped(name).read_bytes())
