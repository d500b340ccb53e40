"""The report of a study: one HTML file that needs nothing else."""

from __future__ import annotations

from ebb.boxes.study import Study
from ebb.context import Night


def report_of(night: Night, found: Study) -> str:
    """The report as HTML."""
    return f"<!doctype html><title>ebb {night.as_of}</title>{found.n}"
