"""Sections of the report on how good every strategy is: figures, intervals, nights."""

from __future__ import annotations

from ebb.boxes.study import AUTO, PLAIN, Study
from ebb.durations import format_instant
from ebb.evaluate.report.content import Block, Chart, Section, Table, Text
from ebb.evaluate.report.draw import Dot, dots, series
from ebb.evaluate.report.judged import (
    ACCURACY,
    beside,
    best_first,
    cut_offs,
    difference,
    main_metric,
    own_interval,
    sources_alone,
)
from ebb.evaluate.report.svg import AHEAD, BEHIND, FAINT, NEITHER, svg_of
from ebb.evaluate.report.words import day, figure, interval
from ebb.evaluate.significance import Interval

_READ = (
    "NDCG is 1 where all that a user then took stood on top of their slate, and 0 where none of it "
    "was there. Recall is the share of what they took that the slate held, precision the share of "
    "the slate that they took, hit rate the share of users with any hit, MRR 1 / rank of the first."
)


def verdict(found: Study) -> str:
    """What `auto` chose, how good it is, and how far ahead, in sentences."""
    metric = main_metric(found)
    chosen = [night.choice.chosen.strategy for night in found.nights]
    names = " and ".join(dict.fromkeys(reversed(chosen)))
    users = own_interval(found, AUTO, metric)
    said = (
        f"auto chose {names} and reaches an NDCG@{found.n} of "
        f"{figure(found.mean(AUTO, metric))} over {users.users:,} users."
    )
    if PLAIN in found.models:
        said += f" {_against(found, PLAIN, 'plain popularity')}"
    alone = sources_alone(found)[:1]
    if alone and alone[0] != PLAIN:
        said += f" {_against(found, alone[0], f'the best single source in hindsight ({alone[0]})')}"
    return said


def _against(found: Study, model: str, named: str) -> str:
    ahead = difference(found, AUTO, model, main_metric(found))
    where = "ahead of" if ahead.value >= 0 else "behind"
    if not ahead.is_significant:
        return f"Against {named}, the difference may be luck: {interval(ahead)}."
    low, high = sorted((abs(ahead.low), abs(ahead.high)))
    return (
        f"It is {abs(ahead.value):.4f} {where} {named}: more than luck, with a 95 % interval from "
        f"{low:.4f} to {high:.4f}."
    )


def strategies(found: Study) -> Section:
    """Every strategy: its figure, how far `auto` is ahead of it, all metrics at all cut-offs."""
    n, metric, models = found.n, main_metric(found), best_first(found)
    own = {model: own_interval(found, model, metric) for model in models}
    shown = beside(found)
    figures = [_dot(model, own[model], AHEAD if model == AUTO else FAINT) for model in models]
    behind = {model: found.ahead(model, metric) for model in models if model != AUTO}
    ahead = [_dot(model, one, _colour(one)) for model, one in behind.items()]
    blocks: list[Block] = [
        Text(_READ),
        Chart(
            f"NDCG@{n} of every strategy",
            svg_of(dots(figures, f"NDCG@{n}, 95 % interval"), f"NDCG@{n} of every strategy"),
        ),
        Chart(
            "How far auto is ahead of each",
            svg_of(
                dots(ahead, f"auto's NDCG@{n} less this one's, 95 % interval", zero=True),
                "How far auto is ahead of each strategy",
            ),
        ),
    ]
    blocks += [_at(found, k, folded=k != n) for k in cut_offs(found)]
    blocks.append(_all_ahead(found, models))
    return Section("strategies", "How good is every strategy?", [*blocks, *_nights(found, shown)])


def _dot(model: str, one: Interval, colour: str) -> Dot:
    return Dot(model, one.value, one.low, one.high, colour)


def _colour(ahead: Interval) -> str:
    if not ahead.is_significant:
        return NEITHER
    return AHEAD if ahead.value > 0 else BEHIND


def _at(found: Study, k: int, folded: bool) -> Table:
    metric = f"ndcg@{k}"
    models = sorted(best_first(found), key=lambda name: -found.mean(name, metric))
    rows = [
        [
            model,
            *(figure(found.mean(model, f"{name}@{k}")) for name in ACCURACY),
            "" if model == AUTO else interval(found.ahead(model, metric)),
        ]
        for model in models
    ]
    columns = ["strategy", *(f"{name}@{k}" for name in ACCURACY), f"auto is ahead by, ndcg@{k}"]
    caption = f"At {k}: means over the as_of; * marks intervals that don't hold 0"
    return Table(caption, columns, rows, folded=folded, strong=AUTO)


def _all_ahead(found: Study, models: list[str]) -> Table:
    names = [f"{name}@{found.n}" for name in ACCURACY]
    others = [model for model in models if model != AUTO]
    rows = [[model, *(interval(found.ahead(model, name)) for name in names)] for model in others]
    caption = "How far auto is ahead in every metric, with 95 % intervals"
    return Table(caption, ["strategy", *names], rows, folded=True)


def _nights(found: Study, shown: list[str]) -> list[Block]:
    """The nights judged, and the metric over them where there are several."""
    metric = main_metric(found)
    nights = sorted(found.nights, key=lambda night: night.window.as_of)
    values = {
        model: [
            float(night.users.loc[night.users["model"] == model, metric].mean()) for night in nights
        ]
        for model in shown
    }
    rows = [
        [
            format_instant(night.window.as_of),
            format_instant(night.window.until),
            night.test_set,
            f"{night.users['user_id'].nunique():,}",
            *(figure(values[model][place]) for model in shown),
        ]
        for place, night in enumerate(nights)
    ]
    columns = ["as_of", "labels until", "test set", "users", *(f"{m}, ndcg" for m in shown)]
    table = Table("The nights judged; figures can be compared where the test set is the same",
                  columns, rows, words=3)  # fmt: skip
    if len(nights) == 1:
        return [table, Text("One as_of was judged: evaluate.nights judges more of them.")]
    drawn = series([day(night.window.as_of) for night in nights], values, f"NDCG@{found.n}")
    span = f"{day(nights[0].window.as_of)} to {day(nights[-1].window.as_of)}"
    caption = f"NDCG@{found.n} by as_of, {span}"
    return [Chart(caption, svg_of(drawn, caption)), table]
