"""Section of the report that shows the slates of some people, with their reasons."""

from __future__ import annotations

from ebb.durations import format_instant
from ebb.evaluate.report.content import Examples, People, Section, Text


def people(known: Examples | None) -> Section:
    title = "What do slates look like?"
    if known is None:
        said = "No slates are published up to this as_of: run the night to have examples here."
        return Section("people", title, [Text(said)])
    said = f"As published for {format_instant(known.as_of)}, beside what each person last took."
    return Section("people", title, [Text(said), People(known.people)])
