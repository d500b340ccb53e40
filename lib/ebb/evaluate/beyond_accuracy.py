"""What slates are like beyond their hits: pure functions, at a cut-off of n.

Serendipity, novelty, intra-list diversity and calibration are of one user's slate; coverage and
Gini of all slates together. The oracle of `slates.py` and `catalogue.py`; never imports Spark.

Novelty, diversity and calibration describe a list. Where there is none, or nothing is known of its
items, they are None and stay out of a mean: a 0 would be the worst diversity and the best
calibration. Serendipity counts hits, and is 0 without a slate.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from itertools import combinations

from ebb.evaluate.metrics import first_items, hit_ranks

# How much of the wanted shares is mixed into the slate's, so that the divergence stays finite.
SMOOTHING = 0.01


def serendipity(
    slate: Sequence[str], labels: Collection[str], popular: Sequence[str], n: int
) -> float:
    """Share of the n places that hold a label which plain popularity would not have shown.

    Hits among the slate's first n items that are not among the first n of `popular`, over n. From 0
    to 1, more is better; 0 without a slate; without a popular one it is precision.

    Parameters
    ----------
    slate, labels, n : as in `metrics.recall`.
    popular : what plain popularity would have shown this user, best first.

    References
    ----------
    Murakami, Mori & Orihara (2008), Metrics for evaluating the serendipity of recommendation lists:
    unexpected against a primitive method. Ge, Delgado-Battenfeld & Jannach (2010), Beyond accuracy,
    RecSys.
    """
    expected = set(first_items(popular, n))
    hits = (slate[rank - 1] for rank in hit_ranks(slate, labels, n))
    return sum(item not in expected for item in hits) / n


def novelty(slate: Sequence[str], users: Mapping[str, int], known: int, n: int) -> float | None:
    """Mean over the slate's items of -log2(users who had the item / users known), in bits.

    0 where everybody had every item; one bit more each time half as many had them. An item that
    nobody had counts as if one user had: log2(known), the most there can be.

    Parameters
    ----------
    slate, n : as in `metrics.recall`; a short slate's mean is over what it has.
    users : item to the number of known users who had it before as_of; nobody where absent.
    known : users known at as_of, at least 1 and at least as many as had any item.

    Returns
    -------
    float or None
        Bits; None without a slate.

    References
    ----------
    Zhou, Kuscsik, Liu, Medo, Wakeling & Zhang (2010), Solving the apparent diversity-accuracy
    dilemma of recommender systems, PNAS: mean self-information.
    """
    return _mean([-math.log2(max(users.get(x, 0), 1) / known) for x in first_items(slate, n)])


def diversity(slate: Sequence[str], sets: Mapping[str, Collection[str]], n: int) -> float | None:
    """Mean over pairs of the slate's items of 1 - Jaccard of their sets: intra-list diversity.

    Jaccard is |A and B| / |A or B|: 0 where all items have the same set, 1 where no two have
    anything in common. With sets of categories it says how mixed a slate looks; with audiences (the
    users who had the item before as_of) how differently it is used.

    Parameters
    ----------
    slate, n : as in `metrics.recall`.
    sets : item to its categories, or to its audience. Items without, or with an empty one, are left
        out: nothing says what they are like.

    Returns
    -------
    float or None
        From 0 to 1; None where fewer than two items have a set.

    References
    ----------
    Smyth & McClave (2001), Similarity vs. diversity, ICCBR. Ziegler, McNee, Konstan & Lausen
    (2005), Improving recommendation lists through topic diversification, WWW.
    """
    described = [frozenset(sets[x]) for x in first_items(slate, n) if sets.get(x)]
    pairs = combinations(described, 2)
    return _mean([1.0 - len(one & other) / len(one | other) for one, other in pairs])


def calibration(
    slate: Sequence[str],
    categories: Mapping[str, Collection[str]],
    shares: Mapping[str, float],
    n: int,
) -> float | None:
    """How far the slate's categories are from the user's: KL(p || 0.99 q + 0.01 p), in nats.

    The sum over c of p(c) ln(p(c) / (0.99 q(c) + 0.01 p(c))). p is the user's decayed category
    shares over their sum; q the slate's, where each item has a mass of 1, split evenly over its
    categories, over the number of items that have any. 0 where the two agree, less is better; at
    most ln 100 = 4.6, where nothing that the user cares for is in the slate.

    Parameters
    ----------
    slate, n : as in `metrics.recall`.
    categories : item to its categories. Items without are left out of q.
    shares : category to the user's share; shares at or below 0 are left out.

    Returns
    -------
    float or None
        Nats; None where the user has no shares or no item of the slate a category.

    References
    ----------
    Steck (2018), Calibrated recommendations, RecSys, with all ranks weighing the same.
    """
    listed = [frozenset(categories[x]) for x in first_items(slate, n) if categories.get(x)]
    wanted = {category: share for category, share in shares.items() if share > 0}
    if not listed or not wanted:
        return None
    total = math.fsum(wanted.values())
    terms = []
    for category, share in wanted.items():
        p = share / total
        q = math.fsum(1.0 / len(one) for one in listed if category in one) / len(listed)
        terms.append(p * math.log(p / ((1.0 - SMOOTHING) * q + SMOOTHING * p)))
    return math.fsum(terms)


def coverage(slates: Collection[Sequence[str]], eligible: int, n: int) -> float:
    """Distinct items among everybody's first n, over the items that could have been recommended.

    From 0 to 1 (Ge, Delgado-Battenfeld & Jannach 2010: catalogue coverage).

    Parameters
    ----------
    slates : each user's slate.
    eligible : items that could have been recommended, at least 1; slates hold no others.
    """
    return len({item for slate in slates for item in first_items(slate, n)}) / eligible


def gini(slates: Collection[Sequence[str]], eligible: int, n: int) -> float | None:
    """How unequally the places of everybody's first n are spread over all eligible items.

    Sum over items, from the least to the most often recommended, of (2 r - E - 1) c, over E times
    the sum of c: r is the place in that order, from 1, c how often the item is recommended (which
    may be never), and E the number of eligible items. 0 where all are recommended alike; 1 - 1/E
    where all places go to one item.

    Parameters
    ----------
    slates, eligible : as in `coverage`.

    Returns
    -------
    float or None
        From 0 to 1, less is more even; None where nothing is recommended.

    References
    ----------
    Gini (1912), Variabilità e mutabilità. Fleder & Hosanagar (2009), Blockbuster culture's next
    rise or fall, Management Science: of recommenders.
    """
    shown = [item for slate in slates for item in first_items(slate, n)]
    if not shown:
        return None
    times = sorted(shown.count(item) for item in set(shown))
    counts = [0] * (eligible - len(times)) + times
    spread = sum((2 * place - eligible - 1) * count for place, count in enumerate(counts, start=1))
    return spread / (eligible * len(shown))


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
