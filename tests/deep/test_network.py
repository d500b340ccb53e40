"""What a network sees, and what it foretells."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra deep isn't installed")

from ebb.sequences.batches import Batch
from ebb.sequences.network import Drawn, Network
from ebb.sequences.settings import Sequences

ITEMS, TYPES, LENGTH = 6, 2, 5
KINDS = ("transformer", "gru", "lstm", "bilstm")


def network_of(kind: str, **more: object) -> Network:
    torch.manual_seed(3)
    settings = Sequences(kind=kind, dimension=8, length=LENGTH, **more)
    return Network(ITEMS, TYPES, settings).eval()


def batch_of(rows: list[list[int]], labels: int = 1, length: int = LENGTH) -> Batch:
    """Items one day after the other, the last one a day before as_of."""
    batch = Batch.empty(len(rows), length, labels)
    for row, items in enumerate(rows):
        n = len(items)
        batch.items[row, :n], batch.types[row, :n] = items, [1 + item % 2 for item in items]
        batch.days[row, :n] = np.arange(-n, 0)
        batch.at[row, :n] = batch.days[row, :n] + 0.5
    return batch


def states(network: Network, batch: Batch) -> np.ndarray:
    with torch.inference_mode():
        return network.query(network.see(batch)).numpy()


@pytest.mark.parametrize("kind", KINDS[:3])
def test_a_later_event_changes_nothing_earlier(kind: str) -> None:
    network = network_of(kind)
    one, other = batch_of([[1, 2, 3, 4, 5]]), batch_of([[1, 2, 3, 6, 1]])
    other.days[0, 3:] += 0.25
    before, after = states(network, one)[0], states(network, other)[0]
    assert np.array_equal(before[:3], after[:3])
    assert not np.allclose(before[3:], after[3:])
    seen = [network.see(batch) for batch in (one, other)]
    leant = [network.attention(own, network.query(own)).exp().detach().numpy() for own in seen]
    assert np.array_equal(leant[0][0, :3], leant[1][0, :3])
    assert np.array_equal(leant[0][0], np.tril(leant[0][0]))
    assert leant[0].sum(-1) == pytest.approx(np.ones((1, LENGTH)), abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_state_after_the_last_event_knows_all_before_it_and_no_padding(kind: str) -> None:
    network = network_of(kind)
    short = states(network, batch_of([[1, 2, 3]], length=3))[0, 2]
    beside = states(network, batch_of([[1, 2, 3], [4, 5, 6, 1, 2]]))[0, 2]
    assert short == pytest.approx(beside, abs=1e-6)
    for other in ([4, 2, 3], [1, 4, 3], [1, 2, 4]):
        assert not np.allclose(short, states(network, batch_of([other], length=3))[0, 2])


@pytest.mark.parametrize("kind", KINDS)
def test_a_month_later_the_same_past_says_something_else(kind: str) -> None:
    network, soon, late = network_of(kind), batch_of([[1, 2]]), batch_of([[1, 2]])
    late.at[0, 1] += 30
    one, other = states(network, soon)[0], states(network, late)[0]
    assert np.array_equal(one[0], other[0]) and not np.allclose(one[1], other[1])


@pytest.mark.parametrize("kind", KINDS)
def test_what_it_foretells_adds_up_to_one_and_repeats_get_more(kind: str) -> None:
    network = network_of(kind)
    chances = []
    for item in range(1, ITEMS + 1):
        batch = batch_of([[2, 2, 5]])
        batch.labels[0, 2, 0] = item
        found, is_label = network(batch)
        assert found.shape == is_label.shape == (1, 1)
        chances.append(found.exp().item())
    assert sum(chances) == pytest.approx(1.0, abs=1e-5)
    assert min(chances[1], chances[4]) > max(chances[0], chances[2], chances[3], chances[5])


def test_labels_count_each_for_itself_and_none_where_there_are_none() -> None:
    network, batch = network_of("transformer"), batch_of([[1, 2, 3], [4, 5]], labels=2)
    batch.labels[0, 1], batch.labels[1, 1] = [3, 5], [2, 0]
    found, is_label = network(batch)
    assert is_label.tolist() == [[1, 1], [1, 0]] and found[1, 1].item() == 0.0
    alone = batch_of([[4, 5]])
    alone.labels[0, 1, 0] = 2
    assert network(alone)[0].item() == pytest.approx(found[1, 0].item(), abs=1e-6)


def test_items_drawn_stand_for_all_the_better_the_more_there_are() -> None:
    network, batch = network_of("transformer"), batch_of([[1, 2, 3]])
    batch.labels[0, 2, 0] = 5
    whole = network(batch)[0].item()
    takes = np.array([9, 4, 2, 8, 1, 3])
    drawn = Drawn.of(takes, 50_000, np.random.default_rng(1))
    assert network(batch, drawn)[0].item() == pytest.approx(whole, abs=0.02)
    expected = np.exp(drawn.log_expected[1:])
    counts = np.bincount(drawn.items, minlength=ITEMS + 1)[1:]
    assert counts == pytest.approx(expected, rel=0.1)
