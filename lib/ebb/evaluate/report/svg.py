"""matplotlib figures as inline SVG whose colours are the page's: light and dark read alike.

Figures are drawn in marker colours, which become CSS variables. What comes out is the same for the
same figure: no date, no random ids.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.figure import Figure

# Stand for var(--ink), var(--faint), ... of style.css; none is a colour that anybody would draw in.
INK, FAINT, LINE, GROUND = "#010203", "#010204", "#010205", "#010206"
SERIES = tuple(f"#0102{place:02x}" for place in range(16, 24))
AHEAD, BEHIND, NEITHER = SERIES[0], SERIES[1], FAINT
_VARIABLES = {
    INK: "ink", FAINT: "faint", LINE: "line", GROUND: "ground",
    **{colour: f"series-{place}" for place, colour in enumerate(SERIES, start=1)},
}  # fmt: skip
# In points; a figure of this width is shown 480 pixels wide, and on a phone somewhat smaller.
WIDTH = 4.8
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    # Ids and categories come from data: a $ in them begins no formula.
    "text.parse_math": False,
    "font.family": ["DejaVu Sans"],
    "font.size": 8.5,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": FAINT,
    "axes.titlecolor": INK,
    "axes.titlesize": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 8,
}
_LEFT_OUT = re.compile(r"<!--.*?-->|<defs>\s*<style.*?</style>\s*</defs>", re.DOTALL)
_GROUP_ID = re.compile(r'<g id="[^"]*"')
_FONT = re.compile(r"font: ([\d.]+)px [^;\"]*")
_OPENING = re.compile(r"<svg\b[^>]*?\bviewBox=\"([^\"]*)\"[^>]*>", re.DOTALL)
_COLOUR = re.compile("|".join(_VARIABLES))


def new_figure(height: float) -> Figure:
    """An empty figure of the page's width, `height` inches high; draw within `drawing`."""
    return Figure(figsize=(WIDTH, height), layout="constrained")


@contextmanager
def drawing() -> Iterator[None]:
    """Context in which figures are drawn and written as the page wants them."""
    with mpl.rc_context(_SETTINGS):
        yield


def svg_of(figure: Figure, label: str) -> Markup:
    """A figure as an SVG element to put into a page.

    Parameters
    ----------
    label : what it shows, for people who don't see it; also what makes its ids unlike those of
        other figures of a page.
    """
    written = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with mpl.rc_context({"svg.hashsalt": label}), warnings.catch_warnings():
        # Only the room for text hangs on the font here: the reader's browser has its own.
        warnings.filterwarnings("ignore", r"Glyph \d+")
        figure.savefig(written, format="svg", transparent=True, metadata=nothing)
    drawn = written.getvalue()
    drawn = _LEFT_OUT.sub("", drawn[drawn.index("<svg") :])
    drawn = _GROUP_ID.sub("<g", drawn)
    drawn = _FONT.sub(r"font-size: \1px", drawn)
    drawn = _COLOUR.sub(lambda colour: f"var(--{_VARIABLES[colour[0]]})", drawn)
    opening = f'<svg viewBox="\\1" role="img" aria-label="{escape(label)}">'
    return Markup(_OPENING.sub(lambda match: opening.replace("\\1", match[1]), drawn, count=1))
