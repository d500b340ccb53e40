"""The report: what is in it, that nothing from data becomes markup, that it needs nothing else."""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import pytest

from ebb.boxes.study import Study
from ebb.evaluate.report.content import Surroundings
from ebb.evaluate.report.page import page_of
from ebb.evaluate.report.strategies import verdict
from ebb.evaluate.report.svg import drawing, new_figure, svg_of
from evaluate.studies import AS_OF, HOSTILE, LONG, around, study_of

SECTIONS = ("strategies", "decay", "beyond", "slices", "weights", "drift", "people")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="module")
def page() -> str:
    """A report in which every name from data is hostile, or long."""
    found = study_of(category=HOSTILE)
    return page_of(found, around(title=HOSTILE, user_id=LONG, root=f"s3a://{HOSTILE}"))


class Reader(HTMLParser):
    """Notes what is in a page: elements with their attributes, text by element."""

    VOID = frozenset({"meta", "link", "br"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self.open[-1] if self.open else "", []).append(data)


def test_every_section_is_there_with_its_drawings(page: str) -> None:
    read = Reader(page)
    assert read.open == []
    assert [a["id"] for tag, a in read.elements if tag == "section"] == list(SECTIONS)
    labels = [a["aria-label"] for tag, a in read.elements if tag == "svg"]
    assert len(labels) == len(set(labels))
    ids = [own["id"] for _, own in read.elements if "id" in own]
    assert len(ids) == len(set(ids)), "drawings must not take each other's clips and marks"
    for label in (
        "NDCG@10 of every strategy",
        "How far auto is ahead of each strategy",
        "What decay adds",
        "NDCG@10 by as_of, 2026-02-04 to 2026-02-18",
        "NDCG@10 against coverage; hollow without decay",
        "NDCG by activity",
        "Weights of history",
        "Decay curves: What everybody takes",
        "Drift of interests by category",
    ):
        assert label in labels


def test_names_from_data_are_text_and_never_markup(page: str) -> None:
    assert "<script" not in page
    read = Reader(page)
    assert not [tag for tag, _ in read.elements if tag in ("script", "iframe", "object", "img")]
    assert not [name for _, own in read.elements for name in own if name.startswith("on")]
    # Whole, in the table of slices and in the examples; cut in the drawing, dollars and all.
    assert HOSTILE in read.texts["th"]
    assert any(HOSTILE in text for text in read.texts["li"])
    assert any(text.startswith("<script>") and text.endswith("…") for text in read.texts["text"])


def test_nothing_outside_is_asked_for(page: str) -> None:
    assert not re.findall(r"https?:|@import", page)
    assert set(re.findall(r"url\(([^)]*)\)", page)) <= set(re.findall(r"url\((#\w+)\)", page))
    links = [own.get("href") or own.get("xlink:href") for _, own in Reader(page).elements]
    assert all(link.startswith(("#", "data:,")) for link in links if link)
    assert "default-src 'none'" in page


@cache
def bare_page() -> str:
    bare = Surroundings("warehouse", AS_OF, "0123456789abcdef", drift=None, examples=None)
    return page_of(study_of(nights=1, users=12), bare)


def test_the_same_study_gives_the_same_bytes() -> None:
    assert bare_page() == bare_page.__wrapped__()


def test_what_the_tables_lack_is_said_and_one_night_has_no_series() -> None:
    text = bare_page()
    assert "user_features holds no divergence" in text
    assert "No slates are published up to this as_of" in text
    assert "One as_of was judged" in text and "NDCG@10 by as_of" not in text


def test_the_verdict_names_what_was_chosen_and_whether_it_is_more_than_luck() -> None:
    found = study_of(nights=1)
    said = verdict(found)
    assert said.startswith(f"auto chose blend and reaches an NDCG@10 of {_figure(found)} over 40")
    ahead = found.ahead("popularity_flat", "ndcg@10")
    assert f"It is {ahead.value:.4f} ahead of plain popularity: more than luck" in said
    worse = found.nights[0].users
    worse.loc[worse["model"] == "popularity_flat", "ndcg@10"] = 1.0
    assert " behind plain popularity: more than luck" in verdict(Study(found.nights, 10))


def _figure(found: Study) -> str:
    return f"{found.mean('auto', 'ndcg@10'):.4f}"


def test_a_drawing_takes_its_colours_from_the_page_and_reads_no_formulas() -> None:
    with drawing():
        figure = new_figure(1)
        figure.subplots().set_title("a $x$ <b> --> c")
        drawn = svg_of(figure, 'say "a"')
    assert "var(--ink)" in drawn and not re.search(r"#0102\w\w", drawn)
    assert "a $x$ &lt;b&gt; --&gt; c" in drawn and "<!--" not in drawn
    assert drawn.startswith("<svg viewBox=") and 'aria-label="say &#34;a&#34;"' in drawn


# ------------------------------------------------------------------------- in a browser
@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[str, str]]:
    """Runs a headless browser on a page; gives what it wrote to stdout and stderr."""
    named = [os.environ.get("EBB_BROWSER", ""), *BROWSERS]
    program = next(filter(None, map(shutil.which, filter(None, named))), None)
    if program is None:
        pytest.skip(f"no browser: neither $EBB_BROWSER nor {', '.join(BROWSERS)} on the path")
    profile = tmp_path_factory.mktemp("browser")

    def run(path: Path, *options: str) -> tuple[str, str]:
        command = [
            program, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--virtual-time-budget=2000", "--enable-logging=stderr",
            f"--user-data-dir={profile}", *options, path.as_uri(),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        return done.stdout, done.stderr

    return run


PHONE = """<!doctype html><meta charset="utf-8"><body><iframe srcdoc="{page}"
style="width:390px;height:800px;border:0"></iframe><script>
addEventListener("load", () => {{
  const inner = document.querySelector("iframe").contentDocument;
  inner.querySelectorAll("details").forEach((one) => {{ one.open = true; }});
  const wide = [...inner.querySelectorAll("body *")].filter((one) =>
    !one.closest(".scrolls, .skip, svg") && one.getBoundingClientRect().right > 390.5);
  document.body.dataset.width = inner.documentElement.scrollWidth;
  document.body.dataset.wide = wide.map((one) => one.tagName).join(" ");
  document.body.dataset.titles = inner.querySelectorAll("h2").length;
}});</script>"""


def test_a_phone_s_page_never_scrolls_sideways(page: str, browser, tmp_path: Path) -> None:
    held = tmp_path / "phone.html"
    held.write_text(PHONE.format(page=html.escape(page)), encoding="utf-8")
    dumped, said = browser(held, "--dump-dom")
    found = dict(re.findall(r'data-(\w+)="([^"]*)"', dumped[dumped.index("<body") :][:200]))
    assert found == {"width": "390", "wide": "", "titles": str(len(SECTIONS))}
    assert "CONSOLE" not in said


@pytest.mark.parametrize(
    ("scheme", "ground"), [("1", (255, 255, 255)), ("0", (20, 23, 27))], ids=["light", "dark"]
)
def test_it_is_drawn_light_or_dark_as_its_reader_likes(
    page: str, browser, tmp_path: Path, scheme: str, ground: tuple[int, int, int]
) -> None:
    from matplotlib.image import imread

    held, shot = tmp_path / "report.html", tmp_path / "report.png"
    held.write_text(page, encoding="utf-8")
    # 0 is dark, 1 is light.
    scheme_option = f"--blink-settings=preferredColorScheme={scheme}"
    _, said = browser(held, scheme_option, "--window-size=1000,900", f"--screenshot={shot}")
    picture = (imread(shot)[..., :3] * 255).round().astype(int)
    assert tuple(picture[-1, 0]) == ground
    # Text and lines stand out against the ground.
    assert abs(picture - picture[-1, 0]).sum(axis=-1).max() > 400
    assert "CONSOLE" not in said
