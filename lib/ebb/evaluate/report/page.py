"""The report as a page: sections filled into a template that escapes whatever they hold.

The page asks for nothing: style and drawings are in it, and a policy forbids the rest.
"""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from ebb.boxes.study import Study
from ebb.durations import format_instant
from ebb.evaluate.report.beyond import beyond_accuracy
from ebb.evaluate.report.content import Surroundings
from ebb.evaluate.report.decay import decay_on_and_off
from ebb.evaluate.report.drift import drift
from ebb.evaluate.report.judged import main_metric
from ebb.evaluate.report.people import people
from ebb.evaluate.report.slices import slices
from ebb.evaluate.report.strategies import strategies, verdict
from ebb.evaluate.report.svg import drawing
from ebb.evaluate.report.weights import weights


def page_of(found: Study, around: Surroundings) -> str:
    """The report as HTML; the same for the same study and surroundings."""
    pooled = found.pooled
    windows = [night.window for night in found.nights]
    head = {
        "root": around.root,
        "as_of": format_instant(around.as_of),
        "configuration": around.fingerprint,
        "judged": f"{len(windows)} as_of, labels from {format_instant(windows[-1].as_of)} until "
        f"{format_instant(windows[0].until)}",
        "users": f"{pooled['user_id'].nunique():,} "
        f"({len(pooled[['user_id', 'as_of']].drop_duplicates()):,} slates of each strategy)",
        "metric": main_metric(found),
    }
    with drawing():
        sections = [
            strategies(found),
            decay_on_and_off(found),
            beyond_accuracy(found),
            slices(found),
            weights(found),
            drift(found, around.drift),
            people(around.examples),
        ]
    templates = Environment(
        loader=PackageLoader("ebb.evaluate.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return templates.get_template("page.html").render(
        as_of=format_instant(around.as_of),
        head=head,
        verdict=verdict(found),
        sections=sections,
    )
