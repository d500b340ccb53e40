"""What a search shows at its end: the best trials, the verdict, and the lines to write."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ebb.search.space import Parameters, as_json
from ebb.search.trials import Trial
from ebb.search.verdict import Verdict, as_options, as_yaml

_SHOWN = 10


def print_search(trials: Iterable[Trial], verdict: Verdict, measure: str) -> None:
    """Print the best trials beside the present configuration, and what came of it.

    Parameters
    ----------
    measure : what a trial's value is called.
    """
    console = Console(width=None if Console().is_terminal else 140)
    console.print(_table(list(trials), measure))
    console.print(verdict.sentence, highlight=False)
    if verdict.is_better:
        print(f"To have it, add to a call\n\n  {as_options(verdict.best.parameters)}\n")
        print(f"or write into the configuration\n\n{as_yaml(verdict.best.parameters)}")


def _table(trials: list[Trial], measure: str) -> Table:
    done = [trial for trial in trials if trial.value is not None]
    present = next(trial.value or 0.0 for trial in done if trial.number == 0)
    best = sorted(done, key=lambda trial: (-(trial.value or 0.0), trial.number))
    shown = [trial for place, trial in enumerate(best) if place < _SHOWN or trial.number == 0]
    table = Table(title=_title(trials, done), title_justify="left")
    table.add_column("trial", justify="right")
    table.add_column(measure, justify="right")
    table.add_column("against present", justify="right")
    table.add_column("settings", overflow="fold")
    for trial in shown:
        value = trial.value or 0.0
        told = escape(_in_words(trial.parameters)) or "the present configuration"
        ahead = f"{value - present:+.4f}" if trial.number else ""
        table.add_row(str(trial.number), f"{value:.4f}", ahead, told)
    return table


def _title(trials: list[Trial], done: list[Trial]) -> str:
    nights = len(done[0].by_night)
    refused = len(trials) - len(done)
    more = f", {refused} of them refused" if refused else ""
    return f"{len(trials) - 1} trials{more}; means over {nights} nights, the best first"


def _in_words(parameters: Parameters) -> str:
    return "\n".join(
        f"{key} = {value if isinstance(value, str) else as_json(value)}"
        for key, value in parameters.items()
    )
