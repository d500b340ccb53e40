"""Configuration files: what is read from them, and each mistake in a sentence."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from ebb.config import Config
from ebb.config_file import load_config, show_config
from ebb.errors import ConfigError

CHECKOUT = Path(__file__).parents[1]
# Lines are counted from 1: root is on line 1, the first measure on line 9.
GOOD = """\
root: tables
run: {as_of: 2026-02-25T00:00:00Z}
events:
  sources:
    - {path: "landing/*.csv", format: csv}
  types: {view: {weight: 1}, "5": {weight: 2}}
interests:
  measures:
    - {name: exp_7d, curve: exponential, half_life: 7d}
    - {name: win_30d, curve: window, length: 30d}
recommend: {n: 10}
"""
Load = Callable[..., Config]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Loads a text as c.yaml of an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HADOOP_CONF_DIR", raising=False)

    def loaded(
        text: str = GOOD,
        sets: Sequence[str] = (),
        root: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Config:
        Path("c.yaml").write_text(text, encoding="utf-8")
        return load_config("c.yaml", sets=sets, root=root, environment=environment or {})

    return loaded


@pytest.fixture
def refused(load: Load) -> Callable[..., str]:
    """Gives the message for a text that must not pass."""

    def message(*arguments: object, **options: object) -> str:
        with pytest.raises(ConfigError) as error:
            load(*arguments, **options)
        return str(error.value)

    return message


Refused = Callable[..., str]


# ------------------------------------------------------------------------ reading
def test_a_file_is_read(load: Load) -> None:
    config = load()
    assert config.root == "tables"
    assert config.recommend.n == 10
    assert config.events.types["5"].weight == 2


def test_relative_paths_stay_as_they_are_written(load: Load) -> None:
    assert load().events.sources[0].path == "landing/*.csv"


@pytest.mark.parametrize(
    ("environment", "root"),
    [({}, "home/tables"), ({"ROOT": ""}, "home/tables"), ({"ROOT": "s3a://b"}, "s3a://b/tables")],
)
def test_a_variable_is_filled_in_or_else_its_default(
    load: Load, environment: dict[str, str], root: str
) -> None:
    text = GOOD.replace("root: tables", "root: ${ROOT:-home}/tables")
    assert load(text, environment=environment).root == root


def test_a_variable_outside_quotes_can_be_a_number(load: Load) -> None:
    text = GOOD.replace("recommend: {n: 10}", "recommend:\n  n: ${N}")
    assert load(text, environment={"N": "7"}).recommend.n == 7


def test_a_doubled_dollar_is_a_dollar(load: Load) -> None:
    assert load(GOOD.replace("root: tables", "root: a$${b}")).root == "a${b}"


def test_words_that_yaml_1_1_would_turn_into_something_else_are_text(load: Load) -> None:
    types = "{no: {}, on: {}, 010: {}, 2026-01-01: {}, 12:30: {}, 1_000: {}}"
    text = GOOD.replace('{view: {weight: 1}, "5": {weight: 2}}', types)
    names = ["no", "on", "010", "2026-01-01", "12:30", "1_000"]
    assert list(load(text).events.types) == names
    assert load(GOOD.replace("root: tables", "root: on")).root == "on"


def test_every_shipped_configuration_loads_and_reads_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shipped = sorted((CHECKOUT / "conf").glob("*.yaml"))
    assert {"local.yaml", "cluster.yaml"} <= {path.name for path in shipped}
    for path in shipped:
        config = load_config(path, environment={})
        (tmp_path / path.name).write_text(show_config(config), encoding="utf-8")
        assert load_config(path.name, environment={}) == config


def test_shipped_configurations_have_the_three_named_measures() -> None:
    for path in (CHECKOUT / "conf").glob("*.yaml"):
        names = [measure.name for measure in load_config(path, environment={}).interests.measures]
        assert {"exp_7d", "win_30d", "lin_30d"} <= set(names), path.name


def test_a_shown_configuration_has_every_default(load: Load) -> None:
    shown = show_config(load())
    assert "max_bad_share: 0.2" in shown
    assert "shrinkage: 10.0" in shown
    assert "as_of: '2026-02-25T00:00:00Z'" in shown


def test_a_shown_dollar_reads_back(load: Load) -> None:
    config = load(GOOD.replace("root: tables", "root: a$${b}"))
    assert load(show_config(config)) == config


# ---------------------------------------------------------------------- mistakes
@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "recommend: {n: 10}", "recommend: {m: 10}",
            "c.yaml, line 11: recommend.m is not a setting, expected one of affinity, allow, ",
        ),
        (
            "half_life: 7d", "halflife: 7d",
            "c.yaml, line 9: interests.measures[0].halflife is not a setting; "
            "did you mean half_life?",
        ),
        (
            "half_life: 7d", "halflife: 7d",
            "c.yaml, line 9: interests.measures[0].half_life is missing, expected a duration "
            "above zero such as 30min, 3h, 7d, 2w or 1y (a year is 365 days)",
        ),
        (
            "half_life: 7d", "half_life: 0d",
            'c.yaml, line 9: interests.measures[0].half_life is "0d", expected a duration above '
            "zero such as 30min, 3h, 7d, 2w or 1y (a year is 365 days)",
        ),
        (
            "half_life: 7d", "half_life: -1",
            "c.yaml, line 9: interests.measures[0].half_life is -1, expected a duration above",
        ),
        (
            "curve: window", "curve: windows",
            'c.yaml, line 10: interests.measures[1].curve is "windows", expected one of '
            "exponential, ewma_time, mixture, linear, window, power, sigmoid, "
            "ewma_events, own; did you mean window?",
        ),
        (
            "curve: window, ", "",
            "c.yaml, line 10: interests.measures[1].curve is missing, expected one of "
            "exponential, ewma_time, mixture, linear, window, power, sigmoid, "
            "ewma_events, own",
        ),
        (
            "name: win_30d", "name: exp_7d",
            "c.yaml, line 8: interests.measures has two measures named exp_7d; "
            "give each its own name",
        ),
        (
            "{n: 10}", "{n: many}",
            'c.yaml, line 11: recommend.n is "many", expected a whole number',
        ),
        ("{n: 10}", "{n: 1.5}", "c.yaml, line 11: recommend.n is 1.5, expected a whole number"),
        (
            "{n: 10}", "{n: 0}",
            "c.yaml, line 11: recommend.n is 0, expected a number of at least 1",
        ),
        (
            "{n: 10}", "{users: some}",
            'c.yaml, line 11: recommend.users is "some", expected all or '
            "a section of `key: value` lines",
        ),
        (
            "{n: 10}", "{users: {active_within: 0d}}",
            'c.yaml, line 11: recommend.users.active_within is "0d", expected a duration',
        ),
        ("{n: 10}", "7", "c.yaml, line 11: recommend is 7, expected a section"),
        ("{n: 10}", "", "c.yaml, line 11: recommend is empty, expected a section"),
        (
            "2026-02-25T00:00:00Z", "2026-02-25T00:00:00",
            'c.yaml, line 2: run.as_of is "2026-02-25T00:00:00", without a zone; expected an '
            "instant with a zone such as 2011-11-20T00:00:00Z",
        ),
        ("2026-02-25T00:00:00Z", "2026-02-25", 'run.as_of is "2026-02-25", without a zone'),
        (
            "format: csv", "format: cvs",
            'c.yaml, line 5: events.sources[0].format is "cvs", expected one of csv, jsonl, '
            "parquet, delta; did you mean csv?",
        ),
        ("root: tables", "", "c.yaml, line 2: root is missing, expected text"),
        ("root: tables", 'root: ""', "c.yaml, line 1: root is empty, expected a folder or a URI"),
        ("root: tables", "root: 7", "c.yaml, line 1: root is 7, expected text (in quotes"),
        (
            "root: tables", "root: ${HERE}",
            "c.yaml, line 1: root needs the environment variable HERE, which is not set; set it, "
            "or write ${HERE:-default}",
        ),
        ("root: tables", "root: ${HE RE}", "root has ${HE RE}, expected ${NAME} or"),
        (
            "recommend: {n: 10}", "root: elsewhere",
            "c.yaml, line 11: root is given twice, first on line 1; keep one",
        ),
        ("recommend: {n: 10}", "recommend: [n", "c.yaml, line 12: this is not YAML: "),
        ("recommend: {n: 10}", "\trecommend:", "line 11: this is not YAML: "),
        ("root: tables", "root: &a [*a]", "c.yaml, line 1: root[0] contains itself"),
        ("root: tables", "root: !!binary aGk=", "root has the tag tag:yaml.org,2002:binary"),
        ("{weight: 1}", "{weight: -1}", "c.yaml, line 6: events.types.view: a weight below 0"),
        ("{weight: 1}", "{wieght: 1}", "events.types.view.wieght is not a setting; did you mean"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_file_line_key_and_what_is_expected(
    refused: Refused, old: str, new: str, sentence: str
) -> None:
    assert old in GOOD
    assert sentence in refused(GOOD.replace(old, new, 1))


def test_several_mistakes_are_told_a_line_each(refused: Refused) -> None:
    text = GOOD.replace("half_life: 7d", "half_life: 0d").replace("{n: 10}", "{n: x}")
    lines = refused(text).splitlines()
    assert len(lines) == 2
    assert "interests.measures[0].half_life" in lines[0]
    assert "recommend.n" in lines[1]


def test_a_list_whose_members_are_wrong_is_not_called_too_short(refused: Refused) -> None:
    text = GOOD.replace("half_life: 7d", "half_life: 0d").replace("length: 30d", "length: x")
    lines = refused(text).splitlines()
    assert len(lines) == 2
    assert all("expected a duration above zero" in line for line in lines)


def test_an_empty_list_is_called_so(refused: Refused) -> None:
    assert refused(sets=["events.sources=[]"]) == (
        "--set: events.sources is an empty list, expected at least 1 entry"
    )


def test_an_empty_file_lacks_what_is_required(refused: Refused) -> None:
    assert [line.split(" is missing")[0] for line in refused("").splitlines()] == [
        "c.yaml: root",
        "c.yaml: events",
    ]


def test_a_file_that_is_a_list_is_refused(refused: Refused) -> None:
    assert "expected a section of `key: value` lines at the top" in refused("- a")


def test_a_missing_file_is_told_with_those_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("local.yaml").write_text(GOOD)
    with pytest.raises(ConfigError, match=r"no such file; did you mean local\.yaml"):
        load_config("lcal.yaml")
    with pytest.raises(ConfigError, match=r"no such file; \. has local\.yaml"):
        load_config("other.txt")
    with pytest.raises(ConfigError, match=r"--conf \.: can't be read: Is a directory"):
        load_config(".")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not text in UTF-8"):
        load_config(tmp_path / "c.yaml")


# ------------------------------------------------------------------- root on a disk
def test_a_root_below_a_file_is_refused(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert refused(root="file/tables") == (
        f'--root: root is "file/tables", which can\'t be written ({tmp_path}/file is not a '
        "folder); expected a folder that can, or a URI such as s3a://…"
    )


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="needs a folder nobody can write to")
@pytest.mark.parametrize("root", ["/proc/ebb", "file:///proc/ebb"])
def test_a_root_that_cannot_be_written_is_refused(refused: Refused, root: str) -> None:
    assert "which can't be written (/proc: " in refused(root=root)


def test_checking_a_root_leaves_nothing_behind(load: Load, tmp_path: Path) -> None:
    load(root="new/folder")
    assert [path.name for path in tmp_path.iterdir()] == ["c.yaml"]


@pytest.mark.parametrize("root", ["s3a://bucket/x", "hdfs:///x", "abfss://c@a.example/x"])
def test_a_root_elsewhere_is_left_to_spark(load: Load, root: str) -> None:
    assert load(root=root).root == root


# ------------------------------------------------------------------------- --set
def test_set_overrules_the_file(load: Load) -> None:
    config = load(
        sets=[
            "recommend.n=20",
            "interests.measures[0].half_life=3d",
            "recommend.users={active_within: 90d}",
            "events.types.like.weight=3",
            'events.types."a.b".weight=4',
            "train.als.rank=8",
            "train.als.rank=9",
        ]
    )
    assert config.recommend.n == 20
    assert config.interests.measures[0].half_life == timedelta(days=3)  # type: ignore[union-attr]
    assert config.recommend.users.active_within == timedelta(days=90)  # type: ignore[union-attr]
    assert config.events.types["like"].weight == 3
    assert config.events.types["a.b"].weight == 4
    assert config.train.als.rank == 9


def test_root_overrules_set_and_file(load: Load) -> None:
    assert load(sets=["root=a"], root="b").root == "b"


@pytest.mark.parametrize(
    ("assignment", "sentence"),
    [
        ("recommend.n=x", '--set: recommend.n is "x", expected a whole number'),
        ("recomend.n=1", "--set: recomend is not a setting; did you mean recommend?"),
        ("recommend", "--set recommend: has no =, expected dotted.key=value, e.g. recommend.n=20"),
        ("=3", "--set : is not a key, expected names with dots between them"),
        ("a..b=3", "--set a..b: is not a key"),
        ("[0]=3", "--set [0]: is not a key"),
        ("recommend.n=[1", "--set recommend.n, line 1: this is not YAML"),
        (
            "interests.measures[5].name=x",
            "--set: interests.measures[5] does not exist, since c.yaml lists 2 there; set the "
            "whole list instead: --set 'interests.measures=[…]'",
        ),
        ("root.x=1", '--set: root is "tables", which has no x'),
        ("run.as_of=2026-02-25T00:00:00", "--set: run.as_of is"),
    ],
)
def test_a_mistake_in_set_names_set(refused: Refused, assignment: str, sentence: str) -> None:
    assert refused(sets=[assignment]).startswith(sentence)
