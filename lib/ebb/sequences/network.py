"""The network: encoders of a past, and what it foretells at an instant after. Needs torch.

What is taken next is a mixture. Of *taste*: a softmax over all items. Of the *pointer*: a softmax
over the events of the past, which says to take the same again (Vinyals, Fortunato and Jaitly 2015;
See, Liu and Manning 2017). A gate weighs the two. The instant comes in by its distance from the
last event, so that the same past means less a month later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from ebb.sequences.batches import Batch
from ebb.sequences.settings import Sequences

_GAPS = 32
_MINUTES_A_DAY = 24 * 60
_NEVER = -1e9


@dataclass(frozen=True)
class Seen:
    """A batch as tensors, and the network's state after each event.

    Attributes
    ----------
    items : (b, n). days, at : (b, n). hidden : (b, n, d).
    """

    items: Tensor
    days: Tensor
    at: Tensor
    hidden: Tensor


class Network(nn.Module):
    """Foretells what is taken next.

    Parameters
    ----------
    items, types : how many there are; number 0 is none.
    """

    def __init__(self, items: int, types: int, settings: Sequences) -> None:
        super().__init__()
        size = settings.dimension
        self.is_sampled = items > settings.full_softmax
        self.items = nn.Embedding(items + 1, size, padding_idx=0)
        self.types = nn.Embedding(types + 1, size, padding_idx=0)
        self.bias = nn.Parameter(torch.zeros(items + 1))
        self.nothing: Tensor
        nothing = torch.zeros(items + 1)
        nothing[0] = _NEVER
        self.register_buffer("nothing", nothing, persistent=False)
        self.encoder = _encoder(settings)
        self.since = _Gaps(size)
        self.norm = nn.LayerNorm(size)
        self.dropout = nn.Dropout(settings.dropout)
        self.asked, self.keys = nn.Linear(size, size), nn.Linear(size, size)
        self.age, self.gate = _Gaps(1), nn.Linear(size, 1)
        for embedding in (self.items, self.types):
            nn.init.normal_(embedding.weight, std=0.05)
            with torch.no_grad():
                embedding.weight[0].zero_()

    def forward(self, batch: Batch, drawn: Drawn | None = None) -> tuple[Tensor, Tensor]:
        """Log-likelihood of a batch's labels.

        Parameters
        ----------
        drawn : the items that labels are held against; None is all.

        Returns
        -------
        (p, k) of each label of each instant that has any, 0 where there is none, and (p, k) 1
        where there is one.
        """
        seen = self.see(batch)
        labels, every = self._tensor(batch.labels), self.query(seen)
        wanted = (labels > 0).any(-1)
        own, queries = labels[wanted], every[wanted]
        of_taste = self._taste(queries, own, drawn)
        row = wanted.nonzero()[:, 0]
        attention = self.attention(seen, every)[wanted]
        is_same = seen.items[row][:, None, :] == own[:, :, None]
        again = attention[:, None, :].masked_fill(~is_same, _NEVER).logsumexp(-1)
        leaning = self.gate(queries)
        found = torch.logaddexp(
            of_taste + functional.logsigmoid(-leaning), again + functional.logsigmoid(leaning)
        )
        is_label = (own > 0).to(found.dtype)
        return found * is_label, is_label

    def see(self, batch: Batch) -> Seen:
        """Read a batch's pasts. A state sees nothing of later events, but for ``bilstm``."""
        items, types = self._tensor(batch.items), self._tensor(batch.types)
        days, at = self._tensor(batch.days), self._tensor(batch.at)
        entered = self.dropout(self.items(items) + self.types(types))
        return Seen(items, days, at, self.encoder(entered, days, items > 0))

    def query(self, seen: Seen) -> Tensor:
        """(b, n, d) what is asked of the items after each event, at its instant."""
        queries: Tensor = self.norm(seen.hidden + self.since(seen.at - seen.days))
        return queries

    def attention(self, seen: Seen, queries: Tensor) -> Tensor:
        """(b, n, n) log of how much the pointer leans on each event up to each event."""
        size = queries.shape[-1]
        alike = self.asked(queries) @ self.keys(seen.hidden).transpose(-1, -2) / size**0.5
        aged = self.age(seen.at[:, :, None] - seen.days[:, None, :])[..., 0]
        leant: Tensor = (alike + aged).masked_fill(~_up_to(seen.items > 0), _NEVER)
        return leant.log_softmax(-1)

    def logits(self, queries: Tensor) -> Tensor:
        """(..., m + 1) of all items; of number 0 next to nothing."""
        found: Tensor = functional.linear(queries, self.items.weight, self.bias + self.nothing)
        return found

    def _taste(self, queries: Tensor, labels: Tensor, drawn: Drawn | None) -> Tensor:
        """(p, k) log-probability of labels by taste."""
        if drawn is None:
            return self.logits(queries).log_softmax(-1).gather(-1, labels)
        expected = self._tensor(drawn.log_expected)
        others = self._tensor(drawn.items)
        own = torch.einsum("pd,pkd->pk", queries, self.items(labels)) + self.bias[labels]
        # Weighed by how rarely they are drawn, so that the sum is right on average; the label
        # itself is in it once.
        against = queries @ self.items(others).T + self.bias[others] - expected[others]
        is_label = labels[:, :, None] == others[None, None, :]
        against = against[:, None, :].masked_fill(is_label, _NEVER)
        return own - torch.logaddexp(own, against.logsumexp(-1))

    def _tensor(self, values: npt.NDArray[Any]) -> Tensor:
        # Days in single precision: to half a minute over ten years.
        tensor = torch.from_numpy(values.astype(np.float32) if values.dtype == float else values)
        return tensor.to(self.bias.device)


@dataclass(frozen=True)
class Drawn:
    """Items that labels are held against (sampled softmax, Jean et al. 2015).

    Attributes
    ----------
    items : (s,) numbers. log_expected : (m + 1,) of each item, the log of how often it is among
        so many drawn.
    """

    items: npt.NDArray[np.int64]
    log_expected: npt.NDArray[np.float64]

    @staticmethod
    def of(takes: npt.NDArray[np.int64], many: int, dice: np.random.Generator) -> Drawn:
        """Draw items with the ¾ power of how often they were taken (Mikolov et al. 2013)."""
        chances = takes.astype(float) ** 0.75
        chances /= chances.sum()
        items = dice.choice(len(takes), size=many, p=chances) + 1
        return Drawn(items, np.concatenate(([0.0], np.log(many * chances))))


def _up_to(is_event: Tensor) -> Tensor:
    """(b, n, n) whether an event is one, and not after another."""
    n = is_event.shape[1]
    before = torch.ones(n, n, dtype=torch.bool, device=is_event.device).tril()
    return before & is_event[:, None, :]


class _Gaps(nn.Module):
    """A vector of the time between two instants, by the whole part of 2 log(minutes)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.table = nn.Embedding(_GAPS, size)
        nn.init.normal_(self.table.weight, std=0.02)

    def forward(self, days: Tensor) -> Tensor:
        bucket = (torch.log((days * _MINUTES_A_DAY).clamp(min=1)) * 2).long()
        found: Tensor = self.table(bucket.clamp(max=_GAPS - 1))
        return found


# --------------------------------------------------------------------------- encoders
def _encoder(settings: Sequences) -> nn.Module:
    """(b, n, d) entered events, (b, n) days, (b, n) whether there is one → (b, n, d) states."""
    match settings.kind:
        case "transformer":
            return _Transformer(settings)
        case "bilstm":
            return _BothWays(settings)
        case _:
            return _Recurrent(settings)


class _Transformer(nn.Module):
    """Causal self-attention with a bias by the time between two events."""

    def __init__(self, settings: Sequences) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_Block(settings) for _ in range(settings.layers))

    def forward(self, entered: Tensor, days: Tensor, is_event: Tensor) -> Tensor:
        apart = days[:, :, None] - days[:, None, :]
        # After a sequence's end a state sees its past too, so that no row of weights is empty.
        allowed = _up_to(is_event)[:, None]
        state = entered
        for block in self.blocks:
            state = block(state, apart, allowed)
        return state


class _Block(nn.Module):
    """One layer, normalised before each part (Xiong et al. 2020)."""

    def __init__(self, settings: Sequences) -> None:
        super().__init__()
        size, self.heads, self.rate = settings.dimension, settings.heads, settings.dropout
        self.mixed, self.out = nn.Linear(size, 3 * size), nn.Linear(size, size)
        self.apart = _Gaps(settings.heads)
        self.before, self.between = nn.LayerNorm(size), nn.LayerNorm(size)
        self.dropout = nn.Dropout(settings.dropout)
        self.wide = nn.Sequential(
            nn.Linear(size, 4 * size),
            nn.GELU(),
            nn.Dropout(settings.dropout),
            nn.Linear(4 * size, size),
        )

    def forward(self, state: Tensor, apart: Tensor, allowed: Tensor) -> Tensor:
        rows, n, size = state.shape
        mixed = self.mixed(self.before(state)).view(rows, n, 3, self.heads, size // self.heads)
        queries, keys, values = mixed.permute(2, 0, 3, 1, 4)
        bias = self.apart(apart).permute(0, 3, 1, 2).masked_fill(~allowed, _NEVER)
        read = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=bias)
        read = read.transpose(1, 2).reshape(rows, n, size)
        state = state + self.dropout(self.out(read))
        found: Tensor = state + self.dropout(self.wide(self.between(state)))
        return found


class _Clocked(nn.Module):
    """Events with the time since the one before: recurrent networks have no other clock."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.gaps = _Gaps(size)

    def forward(self, entered: Tensor, days: Tensor) -> Tensor:
        found: Tensor = entered + self.gaps(days - torch.cat([days[:, :1], days[:, :-1]], dim=1))
        return found


class _Recurrent(nn.Module):
    """GRU (Cho et al. 2014) or LSTM (Hochreiter and Schmidhuber 1997), forwards."""

    def __init__(self, settings: Sequences) -> None:
        super().__init__()
        size, layers = settings.dimension, settings.layers
        self.clocked = _Clocked(size)
        make = nn.GRU if settings.kind == "gru" else nn.LSTM
        between = settings.dropout if layers > 1 else 0.0
        self.cells = make(size, size, layers, batch_first=True, dropout=between)

    def forward(self, entered: Tensor, days: Tensor, is_event: Tensor) -> Tensor:
        states, _ = self.cells(self.clocked(entered, days))
        found: Tensor = entered + states
        return found


class _BothWays(nn.Module):
    """LSTM over the past in both directions; its last state is that of the whole past."""

    def __init__(self, settings: Sequences) -> None:
        super().__init__()
        size, layers = settings.dimension, settings.layers
        self.clocked = _Clocked(size)
        between = settings.dropout if layers > 1 else 0.0
        self.cells = nn.LSTM(
            size, size, layers, batch_first=True, dropout=between, bidirectional=True
        )
        self.out = nn.Linear(2 * size, size)

    def forward(self, entered: Tensor, days: Tensor, is_event: Tensor) -> Tensor:
        rows, n, size = entered.shape
        lengths = is_event.sum(1)
        packed = nn.utils.rnn.pack_padded_sequence(
            self.clocked(entered, days), lengths.clamp(min=1).cpu(), True, enforce_sorted=False
        )
        states, _ = nn.utils.rnn.pad_packed_sequence(
            self.cells(packed)[0], batch_first=True, total_length=n
        )
        # Backwards it has seen all at the first event.
        whole = torch.cat([states[:, :, :size], states[:, :1, size:].expand(rows, n, size)], dim=-1)
        place = torch.arange(n, device=lengths.device)
        is_last = (place[None, :] == lengths[:, None] - 1)[:, :, None]
        found: Tensor = entered + self.out(torch.where(is_last, whole, states))
        return found
