#!/usr/bin/env bash
# The one way in: finds Java and Python, makes the environment once, runs a job on Spark.
#
# All it makes is in .venv and .ebb in this folder; delete both to begin anew. It never installs
# anything elsewhere. Jobs themselves are in jobs/, their settings in conf/.
set -euo pipefail

caller=$PWD
home=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
python=$home/.venv/bin/python
log=$home/.ebb/setup.log
cd "$home"

say() { printf '%s\n' "$*" >&2; }
fail() { # fail EXIT_CODE SENTENCE
  say "ebb: $2"
  exit "$1"
}

list_jobs() { # one line a job: its name and the first line of its file
  local file
  for file in jobs/*.py; do
    printf '  %-10s %s\n' "$(basename "$file" .py)" "$(sed -n '1s/"""//gp' "$file")"
  done
}

usage() {
  cat <<TEXT
ebb: interests that fade as they should, and recommendations from them, on Spark and Delta.

  $0 JOB [--conf FILE] [--as-of INSTANT] [--root URI] [--set KEY=VALUE …]
      [--rerun] [--verbose] [--show-config] [-- options of spark-submit]
  $0 JOB --help
  $0 test [--all] [options of pytest]

jobs:
$(list_jobs)

The first call makes an environment in this folder: a minute or two. Without --conf a job runs
on the demo world of conf/local.yaml. With --all the tests of the extras follow the others, and
their packages are installed before: 5 GB on Linux. Exit code: 0 success, 1 a failed run, 2 a mistake in
arguments or configuration.

examples:
  $0 nightly
  $0 show user u000042
  $0 nightly --conf conf/online_retail.yaml --as-of 2011-11-20T00:00:00Z
  $0 nightly --conf conf/cluster.yaml -- --master yarn --executor-memory 8g
TEXT
}

# ------------------------------------------------------------------ what must be there
java_version() { # of the given java, e.g. 17; 0 where it doesn't run
  local line
  line=$("$1" -version 2>&1 | grep -m1 'version "') || { echo 0; return; }
  line=${line#*version \"}
  line=${line#1.} # 1.8.0_292 is Java 8
  line=${line%%[!0-9]*}
  echo "${line:-0}"
}

find_java() { # sees to it that JAVA_HOME or else the path leads to a Java that Spark runs on
  local java version seen=""
  for java in "${JAVA_HOME:+$JAVA_HOME/bin/java}" "$(command -v java || true)" \
    /usr/lib/jvm/*/bin/java /Library/Java/JavaVirtualMachines/*/Contents/Home/bin/java \
    /opt/homebrew/opt/openjdk*/bin/java /usr/local/opt/openjdk*/bin/java; do
    [ -x "$java" ] || continue
    version=$(java_version "$java")
    if [ "$version" -ge 17 ]; then
      case $java in
        "${JAVA_HOME:-none}"/*) ;;
        "$(command -v java || true)") unset JAVA_HOME ;;
        *) export JAVA_HOME=${java%/bin/java} ;;
      esac
      return
    fi
    seen="$seen $java is Java $version;"
  done
  fail 1 "Spark needs Java 17 or later;${seen:- there is none here;} install one (Debian and \
Ubuntu: apt-get install openjdk-17-jre-headless, macOS: brew install openjdk@17) or point \
JAVA_HOME at it"
}

find_python() { # prints a Python of 3.11 or later
  local name
  for name in python3.13 python3.12 python3.11 python3 python; do
    if "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info)' 2>/dev/null; then
      command -v "$name"
      return
    fi
  done
  fail 1 "ebb needs Python 3.11 or later, and found none; install one (Debian and Ubuntu: \
apt-get install python3 python3-venv, macOS: brew install python@3.12)"
}

# ------------------------------------------------------------------ set-up, once
step() { # step WHAT COMMAND…: runs it, its output in the log, showing for how long
  local what=$1 begun=$SECONDS told=0 pid seconds
  shift
  printf '\n=== %s\n' "$what" >>"$log"
  [ -t 2 ] || say "$what … started"
  "$@" >>"$log" 2>&1 &
  pid=$!
  # Commands in the background don't hear Ctrl-C.
  trap 'kill "$pid" 2>/dev/null || true; exit 130' INT
  trap 'kill "$pid" 2>/dev/null || true; exit 143' TERM
  while kill -0 "$pid" 2>/dev/null; do
    seconds=$((SECONDS - begun))
    if [ -t 2 ]; then
      printf '\r%s … %d s' "$what" "$seconds" >&2
    elif [ $((seconds / 30)) -gt "$told" ]; then
      told=$((seconds / 30))
      say "$what … $seconds s"
    fi
    sleep 0.2
  done
  if wait "$pid"; then
    trap - INT TERM
    [ ! -t 2 ] || printf '\r' >&2
    say "$what … done in $((SECONDS - begun)) s"
  else
    [ ! -t 2 ] || printf '\n' >&2
    return 1
  fi
}

requirements() { # requirements EXTRA: what pyproject.toml asks for, one a line
  "$python" - "$1" <<'PYTHON'
import sys, tomllib

with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)["project"]
extras = {"run": [], "test": ["test"], "all": ["test", "deep", "text", "text-test", "mlflow"]}[sys.argv[1]]
wanted = [one for extra in extras for one in project["optional-dependencies"][extra]]
print("\n".join([*project["dependencies"], *wanted]))
PYTHON
}

make_venv() { # make_venv PYTHON: anew, unless there is one that works
  "$python" -m pip --version || "$1" -m venv --clear .venv
}

install() { # install EXTRA
  requirements "$1" >".ebb/requirements-$1.txt" &&
    "$python" -m pip install --disable-pip-version-check -r ".ebb/requirements-$1.txt" &&
    echo "$home/lib" >"$("$python" -c 'import site; print(site.getsitepackages()[0])')/ebb.pth"
}

fetch_jars() { # Delta's jars, through Spark's own resolver; what Spark brings itself is left out
  local package
  package=$(PYTHONPATH=lib "$python" -c 'from ebb.session import delta_package as p; print(p())')
  rm -rf .ebb/ivy/jars
  echo 'pass' >.ebb/nothing.py
  PYSPARK_PYTHON=$python .venv/bin/spark-submit --master 'local[1]' --packages "$package" \
    --conf "spark.jars.ivy=$home/.ebb/ivy" --conf "spark.jars.excludes=$brought_by_spark" \
    .ebb/nothing.py
}
brought_by_spark='org.apache.hadoop:*,org.apache.parquet:*,org.apache.logging.log4j:*,org.slf4j:*,com.fasterxml.jackson.core:*,org.roaringbitmap:*,com.google.code.findbugs:*'

set_up() { # set_up EXTRA (run, test or all): quick where nothing changed
  local extra=$1 stamp
  # The folder counts too: an environment doesn't survive being moved.
  stamp="$(cksum <pyproject.toml) $home"
  is_set_up "$extra" "$stamp" && return
  mkdir -p .ebb
  if command -v flock >/dev/null; then
    exec 9>.ebb/setup.lock
    flock -n 9 || { say "another set-up is running in this folder; waiting for it"; flock 9; }
    is_set_up "$extra" "$stamp" && { exec 9>&-; return; }
  fi
  local base whole=$SECONDS
  base=$(find_python)
  say "setting up ebb in $home (this once; log in .ebb/setup.log)"
  date >"$log"
  if [ "$(cat ".venv/.ebb-$extra" 2>/dev/null)" != "$stamp" ]; then
    step "Python environment" make_venv "$base" ||
      fail 1 "$base can't make a virtual environment (Debian and Ubuntu: apt-get install \
python3-venv); see $log"
    step "Python packages" install "$extra" ||
      fail 1 "the Python packages could not be installed: $(last_error); see $log"
    # Written last: an interrupted set-up is taken up again.
    case $extra in
      test) echo "$stamp" >.venv/.ebb-run ;;
      all) echo "$stamp" | tee .venv/.ebb-run >.venv/.ebb-test ;;
    esac
    echo "$stamp" >".venv/.ebb-$extra"
  fi
  if [ "$(cat .ebb/jars.stamp 2>/dev/null)" != "$stamp" ]; then
    step "Delta's jars" fetch_jars ||
      fail 1 "Delta's jars could not be fetched (a mirror can be named in \
DEFAULT_ARTIFACT_REPOSITORY): $(last_error); see $log"
    echo "$stamp" >.ebb/jars.stamp
  fi
  say "set up in $((SECONDS - whole)) s"
  { exec 9>&-; } 2>/dev/null || true
}

is_set_up() { # is_set_up EXTRA STAMP
  [ -x "$python" ] && [ "$(cat ".venv/.ebb-$1" 2>/dev/null)" = "$2" ] &&
    [ "$(cat .ebb/jars.stamp 2>/dev/null)" = "$2" ]
}

last_error() { grep -iE 'error|not found|unresolved' "$log" | tail -n1 | cut -c1-200; }

# ------------------------------------------------------------------ running a job
absolute() { # a path as the caller wrote it, for use from here; URIs and others stay
  case $1 in
    /* | *:*) echo "$1" ;;
    *) if [ "$caller" != "$home" ] && { [ -e "$caller/$1" ] || [ "${2:-}" = always ]; }; then
      echo "$caller/$1"
    else
      echo "$1"
    fi ;;
  esac
}

absolute_all() { # the same for a list with commas
  local part whole=""
  local IFS=,
  for part in $1; do whole=$whole${whole:+,}$(absolute "$part"); done
  echo "$whole"
}

zip_package() { # prints the path of lib/ebb as a zip for --py-files, named by what is in it
  "$python" - <<'PYTHON'
import hashlib, os, pathlib, time, zipfile

kinds = {".py", ".html", ".css"}
files = sorted(path for path in pathlib.Path("lib/ebb").rglob("*") if path.suffix in kinds)
content = [(path.relative_to("lib").as_posix(), path.read_bytes()) for path in files]
digest = hashlib.sha256(repr(content).encode()).hexdigest()[:12]
target = pathlib.Path(f".ebb/ebb-{digest}.zip")
if not target.exists():
    for old in pathlib.Path(".ebb").glob("ebb-*.zip"):
        if time.time() - old.stat().st_mtime > 7 * 86400:  # a run may still be using it
            old.unlink()
    partial = target.with_suffix(f".{os.getpid()}")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content:
            archive.writestr(zipfile.ZipInfo(name), data)
    partial.replace(target)
print(target.absolute())
PYTHON
}

quoted() { # each argument in single quotes, as PYSPARK_SUBMIT_ARGS is read
  local word
  for word in "$@"; do printf "'%s' " "${word//\'/\'\"\'\"\'}"; done
}

run_job() { # run_job JOB ARGUMENTS… [-- OPTIONS OF SPARK-SUBMIT…]
  local job=$1 arguments=() options=() files="" conf="conf/local.yaml"
  local jars pyfiles cluster="" given value
  shift
  while [ $# -gt 0 ] && [ "$1" != -- ]; do
    given=$1 value=""
    case $given in # both --root URI and --root=URI
      --conf=* | --root=*) value=${given#*=} given=${given%%=*} ;;
      --conf | --root) [ $# -gt 1 ] && { value=$2; shift; } ;;
      --verbose) export EBB_LOG_LEVEL=info EBB_LOG_DETAIL=info ;;
    esac
    case $given in
      --conf) [ -z "$value" ] || { value=$(absolute "$value"); conf=$value; } ;;
      --root) [ -z "$value" ] || value=$(absolute "$value" always) ;;
    esac
    arguments+=("$given")
    [ -z "$value" ] || arguments+=("$value")
    shift
  done
  [ $# -eq 0 ] || shift
  jars=$(printf '%s,' .ebb/ivy/jars/*.jar) pyfiles=$(zip_package)
  jars=${jars//.ebb/$home/.ebb} jars=${jars%,}
  while [ $# -gt 0 ]; do
    given=$1 value=""
    case $given in # both --jars X and --jars=X
      --jars=* | --py-files=* | --files=* | --archives=* | --properties-file=* | --deploy-mode=*)
        value=${given#*=} given=${given%%=*} ;;
      --jars | --py-files | --files | --archives | --properties-file | --deploy-mode)
        [ $# -gt 1 ] && { value=$2; shift; } ;;
    esac
    case $given in
      --jars) jars=$jars,$(absolute_all "$value") ;;
      --py-files) pyfiles=$pyfiles,$(absolute_all "$value") ;;
      --files) files=$(absolute_all "$value") ;;
      --archives | --properties-file) options+=("$given" "$(absolute_all "$value")") ;;
      --deploy-mode) cluster=${value#client} options+=("$given" "$value") ;;
      *) options+=("$given") ;;
    esac
    shift
  done
  if [ -n "$cluster" ]; then # the driver runs elsewhere: it gets the configuration by --files
    PYSPARK_DRIVER_PYTHON=$python exec .venv/bin/spark-submit --name "ebb $job" --jars "$jars" --py-files "$pyfiles" \
      --files "$conf${files:+,$files}" ${options[@]+"${options[@]}"} \
      "jobs/$job.py" ${arguments[@]+"${arguments[@]}"} --conf "$(basename "$conf")"
  fi
  [ -z "$files" ] || options+=(--files "$files")
  # Python starts Spark rather than the other way round: so arguments are checked at once, and
  # the terminal is a terminal to what the job prints.
  PYSPARK_SUBMIT_ARGS=$(quoted --jars "$jars" --py-files "$pyfiles" \
    ${options[@]+"${options[@]}"} pyspark-shell)
  export PYSPARK_SUBMIT_ARGS PYTHONPATH=$pyfiles${PYTHONPATH:+:$PYTHONPATH}
  exec "$python" -P "jobs/$job.py" ${arguments[@]+"${arguments[@]}"}
}

run_tests() { # everything, or what the given options of pytest choose
  local status=0
  if [ $# -eq 0 ]; then
    check "ruff" "$python" -m ruff check || status=1
    check "layout" "$python" -m ruff format --check --quiet || status=1
    check "types" "$python" -m mypy --no-error-summary || status=1
  fi
  "$python" -m pytest --durations=15 --durations-min=2 "$@" || status=$?
  return "$status"
}

run_all_tests() { # the same, and then what skips where the packages of extras are absent
  local status=0
  set_up test
  run_tests "$@" || status=$?
  set_up all
  say "tests of what needs extras"
  "$python" -m pytest --durations=15 --durations-min=2 "$@" tests/deep tests/test_tracking.py || status=$?
  return "$status"
}

check() { # check NAME COMMAND…
  local name=$1 begun=$SECONDS
  shift
  if "$@"; then say "$name … passed in $((SECONDS - begun)) s"; else
    say "$name … FAILED in $((SECONDS - begun)) s"
    return 1
  fi
}

environment() { # what every process started from here should see
  unset SPARK_HOME # another Spark's: ours is in .venv
  export EBB_COMMAND=$0 PYTHONUTF8=1
  export LOG4J_CONFIGURATION_FILE=${LOG4J_CONFIGURATION_FILE:-$home/conf/log4j2.properties}
  local name # folders named by the environment mean what they mean to the caller, too
  for name in EBB_DATA EBB_ROOT EBB_LANDING; do
    [ -z "${!name:-}" ] || export "$name=$(absolute "${!name}" always)"
  done
  # Java takes file names in the locale's letters, and cron has no locale.
  [ "$(locale charmap 2>/dev/null)" = UTF-8 ] || export LC_ALL=C.UTF-8
}

# Tests read the functions above without running anything.
[ "${BASH_SOURCE[0]}" = "$0" ] || return 0

case ${1:-} in
  "") usage >&2; exit 2 ;;
  -h | --help | help) usage; exit 0 ;;
  test) ;;
  *[!a-z_]*) fail 2 "\"$1\" is not a job; expected one of $(list_jobs | awk '{printf "%s%s", s, $1; s=", "}'), or test" ;;
  *) [ -f "jobs/$1.py" ] ||
    fail 2 "\"$1\" is not a job; expected one of $(list_jobs | awk '{printf "%s%s", s, $1; s=", "}'), or test" ;;
esac

find_java
environment
job=$1
shift
if [ "$job" = test ] && [ "${1:-}" = --all ]; then
  shift
  run_all_tests "$@"
elif [ "$job" = test ]; then
  set_up test
  run_tests "$@"
else
  set_up run
  run_job "$job" "$@"
fi
