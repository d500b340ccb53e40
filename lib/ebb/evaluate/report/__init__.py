"""The report of a study: one HTML file that needs nothing else, to read in the morning.

`gather` looks up what the tables know around a study, `page` writes everything down. All but
`gather` is pure: the same study gives the same bytes.
"""

from __future__ import annotations

from ebb.boxes.study import Study
from ebb.context import Night
from ebb.evaluate.report.gather import surroundings
from ebb.evaluate.report.page import page_of


def report_of(night: Night, found: Study) -> str:
    """The report as HTML; runs jobs for the examples and for the drift of interests."""
    return page_of(found, surroundings(night))
