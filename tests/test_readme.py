"""The README and docs/ against the code: examples run, names exist, messages are as quoted."""

from __future__ import annotations

import ast
import re
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

import ebb.session
from ebb import cli
from ebb.config import Config
from ebb.config_errors import _at
from ebb.config_file import load_config
from ebb.errors import ConfigError
from ebb.events.world_truth import WORLD_ITEMS, WORLD_USERS
from ebb.events.world_users import user_id
from ebb.interests.reader import interests_at
from ebb.interests.state import bring_up
from ebb.schema import ALL, HOT_LIST, INTERESTS_NOW, RECOMMENDATIONS, Table
from ebb.tables import Stamp, Tables
from small import Shop, arrive

_HOME = Path(__file__).parents[1]
_README = (_HOME / "README.md").read_text(encoding="utf-8")
_PAGES = {
    path.relative_to(_HOME).as_posix(): path.read_text(encoding="utf-8")
    for path in [_HOME / "README.md", _HOME / "CONTRIBUTING.md", *sorted(_HOME.glob("docs/*.md"))]
}
_TABLES = {table.name: table for table in (*ALL, WORLD_USERS, WORLD_ITEMS)}
_AS_OF = datetime(2026, 2, 25, tzinfo=UTC)
_SECTIONS = "|".join(Config.model_fields)
_EXAMPLE_ROOT = "warehouse/local"


def _blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def _section(text: str, heading: str) -> str:
    """What stands below a heading, up to the next one of any level."""
    found = re.search(rf"^#+ {re.escape(heading)}$(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"there is no heading {heading}"
    return found[1]


def _rows(text: str) -> list[list[str]]:
    """Cells of a page's table rows, without headings and rules."""
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def _names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


# ------------------------------------------------------------------------- commands
def _calls(text: str) -> list[tuple[str, list[str]]]:
    """Each call of a job in a page's shell examples: its name and its arguments."""
    calls = []
    for block in _blocks(text, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            starts = [i for i, word in enumerate(words) if word == "./spark-submit.sh"]
            files = [i for i, word in enumerate(words) if re.search(r"jobs/\w+\.py$", word)]
            if starts:
                name, arguments = words[starts[0] + 1], words[starts[0] + 2 :]
            elif files:
                name, arguments = Path(words[files[0]]).stem, words[files[0] + 1 :]
            else:
                continue
            end = arguments.index("--") if "--" in arguments else len(arguments)
            calls.append((name, arguments[:end]))
    return calls


_CALLS = [(page, *call) for page, text in _PAGES.items() for call in _calls(text)]


@pytest.mark.parametrize(
    ("page", "name", "arguments"),
    [call for call in _CALLS if call[1] != "test"],
    ids=lambda given: " ".join(given) if isinstance(given, list) else given,
)
def test_a_command_in_the_docs_is_one_that_its_job_takes(
    page: str, name: str, arguments: list[str]
) -> None:
    options = cli._parser(name, None).parse_args(arguments)
    assert options.conf
    conf = _HOME / options.conf
    # The worked example's own file isn't in the repository, nor is what a cluster is sent.
    assert conf.exists() or conf.name == "shop.yaml" or options.conf.startswith("/opt/ebb/")


def test_the_commands_of_the_first_screen_are_nightly_and_test() -> None:
    first = _blocks(_README, "sh")[0]
    assert [name for name, _ in _calls(f"```sh\n{first}```")] == ["nightly", "test", "test"]


def test_the_readme_shows_somebody_who_is_in_the_demo_world() -> None:
    assert set(re.findall(r"\bu0\d+\b", _README)) == {user_id(42)}


def _options() -> set[str]:
    return {
        option
        for name in cli._EXAMPLES
        for action in cli._parser(name, None)._actions
        for option in action.option_strings
        if option.startswith("--")
    }


def test_the_readme_lists_the_jobs_that_there_are() -> None:
    jobs = [cells for cells in _rows(_section(_README, "Jobs")) if not cells[0].startswith("`--")]
    assert {_names(cells[0])[0] for cells in jobs} == set(cli._EXAMPLES)


def test_the_readme_lists_the_options_that_there_are() -> None:
    rows = [cells for cells in _rows(_section(_README, "Jobs")) if cells[0].startswith("`--")]
    listed = {name.split()[0] for cells in rows for name in _names(cells[0])} - {"--"}
    assert listed == _options()


# ------------------------------------------------------------------------- configuration
_YAML = [(page, text) for page, whole in _PAGES.items() for text in _blocks(whole, "yaml")]


@pytest.mark.parametrize(("page", "text"), _YAML, ids=[page for page, _ in _YAML])
def test_a_configuration_in_the_docs_loads(page: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / "example.yaml"
    path.write_text(text, encoding="utf-8")
    assert load_config(path, root=str(tmp_path), environment={}).events.types


def test_there_is_a_worked_configuration() -> None:
    assert [page for page, _ in _YAML] == ["README.md", "docs/interests.md"]


def test_settings_named_in_the_docs_exist() -> None:
    unknown = [
        f"{page}: {name}"
        for page in ("README.md", "docs/running.md")
        for name in re.findall(rf"`((?:{_SECTIONS})(?:\.\w+)+)`", _PAGES[page])
        if not name.startswith("spark.executor.")  # Spark's own, and names of files
        and not name.endswith((".parquet", ".csv.gz", ".jsonl.gz"))
        and not _at(tuple(name.split(".")), Config)
    ]
    assert unknown == []


_MISTAKES = [(cells[0], cells[1]) for cells in _rows(_section(_README, "FAQ of errors"))]


@pytest.mark.parametrize(("given", "said"), _MISTAKES)
def test_a_mistake_in_the_configuration_is_told_as_the_readme_says(given: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(_HOME / "conf/local.yaml", sets=[given.strip("`")], environment={})
    assert str(error.value) == said.strip(" |`")


def _templates() -> list[str]:
    """Every text in the package, with … for what an f-string fills in."""
    texts = []
    for path in (_HOME / "lib").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = (p.value if isinstance(p, ast.Constant) else "…" for p in node.values)
                texts.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return texts


_TEMPLATES = _templates()
_MESSAGES = re.findall(r"\*\*`(.+?)`\*\*", _section(_README, "FAQ of errors"))


@pytest.mark.parametrize("message", _MESSAGES)
def test_a_message_in_the_faq_is_worded_as_in_the_code(message: str) -> None:
    assert [text for text in _TEMPLATES if message.removesuffix("…") in text]


def test_the_faq_covers_what_can_go_wrong() -> None:
    assert len(_MISTAKES) >= 5 and len(_MESSAGES) >= 10


# ------------------------------------------------------------------------- tables
def test_the_readme_lists_every_table_with_its_grain() -> None:
    rows = _rows(_section(_README, "Tables"))
    grains = {_names(cells[0])[0]: tuple(_names(cells[1])) for cells in rows}
    # Its grain in words: a row of it is a row refused.
    assert grains.pop("events_quarantine") == ()
    assert grains == {t.name: t.grain for t in ALL if t.name != "events_quarantine"}


def test_the_columns_that_the_readme_names_exist() -> None:
    unknown = [
        f"{name}.{column}"
        for cells in _rows(_section(_README, "Tables"))
        for name in _names(cells[0])
        for column in _names(cells[1]) + _names(cells[2])
        if column not in _TABLES[name].schema.names
    ]
    assert unknown == []


@pytest.mark.parametrize("table", _TABLES.values(), ids=_TABLES)
def test_docs_tables_lists_every_column(table: Table) -> None:
    rows = _rows(_section(_PAGES["docs/tables.md"], f"`{table.name}`"))
    assert [_names(cells[0])[0] for cells in rows] == table.schema.names


# ------------------------------------------------------------------------- examples that run
@pytest.fixture(scope="module")
def example_root(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A root as small as the README's examples allow."""
    root = str(tmp_path_factory.mktemp("readme") / "local")
    tables = Tables(spark, root)
    shop = Shop(tables, tmp_path_factory.mktemp("shop"))
    arrive(tables, [("u000042", "Music", "view", _AS_OF - timedelta(days=1), None)])
    bring_up(tables, shop.config(), Stamp("interests", _AS_OF, "config"))
    interests = interests_at(tables, _AS_OF).withColumn("facet", F.lit("category"))
    tables.replace(INTERESTS_NOW, interests, None, Stamp("interests now", _AS_OF, "config"))

    def reason(source: str) -> tuple[object, ...]:
        return (source, None, None, None, None, None, 0.9, "Said.")

    slates = [
        (_AS_OF, "u000042", rank, item, 0.9, source, [reason(source)], 1.0, None, None, "v", None)
        for rank, item, source in [(1, "i1", "history"), (2, "i2", "popularity")]
    ]
    default = [(_AS_OF, "default", 1, "i9", 5.0, 4)]
    for table, step, rows in (
        (RECOMMENDATIONS, "recommend", spark.createDataFrame(slates, RECOMMENDATIONS.schema)),
        (HOT_LIST, "hot list", spark.createDataFrame(default, HOT_LIST.schema)),
    ):
        tables.write_slice(table, rows, Stamp(step, _AS_OF, "config"))
    return root


@pytest.mark.parametrize(
    ("imports", "shown"),
    [
        ("polars", "Music"),
        ("ebb.interests.frames", "Music"),
        ("duckdb", "history"),
        ("ebb.session", "a stranger"),
    ],
)
def test_a_python_example_runs_and_shows_rows(
    imports: str,
    shown: str,
    example_root: str,
    spark: SparkSession,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (code,) = [b for b in _blocks(_README, "python") if re.search(rf"(import|from) {imports}", b)]
    assert _EXAMPLE_ROOT in code
    monkeypatch.setattr(ebb.session, "start_session", lambda *_: spark)
    exec(compile(code.replace(_EXAMPLE_ROOT, example_root), "README.md", "exec"), {})
    assert shown in capsys.readouterr().out


def test_every_python_example_of_the_readme_is_run() -> None:
    assert len(_blocks(_README, "python")) == 4


def test_the_sql_example_runs(example_root: str, spark: SparkSession) -> None:
    (query,) = _blocks(_README, "sql")
    rows = spark.sql(query.replace(_EXAMPLE_ROOT, example_root)).collect()
    assert [row["item_id"] for row in rows] == ["i1", "i2"]


def test_python_examples_of_the_guides_are_python() -> None:
    examples = [b for page, text in _PAGES.items() for b in _blocks(text, "python")]
    for code in examples:
        ast.parse(code)
    assert len(examples) == 5


# ------------------------------------------------------------------------- links
@pytest.mark.parametrize("page", _PAGES)
def test_a_link_to_a_file_leads_somewhere(page: str) -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", _PAGES[page])
    missing = [target for target in targets if not (_HOME / page).parent.joinpath(target).exists()]
    assert missing == []
