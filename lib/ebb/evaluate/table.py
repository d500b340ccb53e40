"""A study on the terminal: how every strategy did, beside `auto`."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from ebb.boxes.study import AUTO, Study
from ebb.durations import format_instant

_SHOWN = ("ndcg", "recall", "hit_rate", "mrr", "coverage", "novelty")


def print_study(found: Study) -> None:
    """Print means over the nights, the best first, with how far `auto` is ahead of each."""
    n = found.n
    metric = f"ndcg@{n}"
    nights = found.nights
    users = sum(len(night.users["user_id"].unique()) for night in nights)
    title = f"{len(nights)} as_of, {users:,} users judged; means over the as_of"
    table = Table(title=title, title_justify="left")
    table.add_column("strategy")
    for name in _SHOWN:
        table.add_column(f"{name}@{n}", justify="right")
    table.add_column("auto is ahead by", justify="right")
    for model in sorted(found.models, key=lambda name: -found.mean(name, metric)):
        figures = [_figure(found.mean(model, f"{name}@{n}")) for name in _SHOWN]
        table.add_row(model, *figures, _ahead(found, model, metric))
    console = Console(width=None if Console().is_terminal else 140)
    console.print(table)
    for night in nights:
        window = night.window
        console.print(
            f"as_of {format_instant(window.as_of)}, until {format_instant(window.until)}: "
            f"auto chose {night.choice.chosen.strategy}; test set {night.test_set}",
            highlight=False,
        )


def _ahead(found: Study, model: str, metric: str) -> str:
    if model == AUTO:
        return ""
    ahead = found.ahead(model, metric)
    sign = "*" if ahead.is_significant else " "
    return f"{ahead.value:+.4f} [{ahead.low:+.4f}, {ahead.high:+.4f}]{sign}"


def _figure(value: float) -> str:
    return "" if value != value else f"{value:.4f}"
