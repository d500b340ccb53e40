"""The same night in one process and on a standalone cluster: are the tables equal?

    .venv/bin/python benchmarks/cluster.py [FOLDER]

Starts a master and a worker of their own on this machine. The worker has its own Spark, Python,
working and temporary folders and, where the system lets us, sees an empty folder in place of
the checkout, so that whatever leans on the driver's disk fails. Exit code 1 if a table differs.
"""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from compare import differences

_CHECKOUT = Path(__file__).parents[1].resolve()
_USERS = 300


def main() -> int:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="ebb-cluster-"))
    folder.mkdir(parents=True, exist_ok=True)
    night(folder / "one-process", folder / "landing", [])
    worker = folder / "worker"
    shutil.copytree(_CHECKOUT / ".venv", worker / "venv", symlinks=True, dirs_exist_ok=True)
    with cluster(worker) as master:
        python = f"spark.pyspark.python={worker / 'venv/bin/python'}"
        night(folder / "cluster", folder / "landing", ["--master", master, "--conf", python])
    executors = list((worker / "work").glob("app-*/*/stderr"))
    found = differences(str(folder / "cluster"), str(folder / "one-process"))
    print(f"{len(executors)} executor process(es) under {worker / 'work'}")
    print("\n".join(found) or "equal tables")
    return 1 if found or not executors else 0


def night(root: Path, landing: Path, options: list[str]) -> None:
    script = [str(_CHECKOUT / "spark-submit.sh"), "nightly", "--root", str(root)]
    size = ["--set", f"world.users={_USERS}"]
    subprocess.run(
        [*script, *size, "--", *options],
        env={**os.environ, "EBB_LANDING": str(landing)},
        check=True,
    )


@contextmanager
def cluster(worker: Path) -> Iterator[str]:
    """A master and one worker, ended with the block; yields the master's URL."""
    [home] = worker.glob("venv/lib/python*/site-packages/pyspark")
    port = _free_port()
    for name in ("work", "tmp"):
        (worker / name).mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_DIRS": str(worker / "tmp"),
        "TMPDIR": str(worker / "tmp"),
    }
    environment.pop("PYTHONPATH", None)
    spark_class = str(home / "bin/spark-class")
    master_class, worker_class = (
        f"org.apache.spark.deploy.{part}" for part in ("master.Master", "worker.Worker")
    )
    master = [spark_class, master_class, "--host", "localhost", "--port", str(port)]
    url = f"spark://localhost:{port}"
    work = ["--cores", "2", "--memory", "2g", "--work-dir", str(worker / "work")]
    started = [
        _start([*master, "--webui-port", "0"], environment, worker / "master.log"),
        _start(
            _hidden([spark_class, worker_class, *work, "--webui-port", "0", url], worker),
            environment,
            worker / "worker.log",
        ),
    ]
    try:
        _wait_for(worker / "worker.log", "Successfully registered")
        yield url
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait()


def _hidden(command: list[str], worker: Path) -> list[str]:
    """The command in a mount namespace where the checkout is empty, if the system allows one."""
    probe = ["unshare", "--mount", "true"]
    if shutil.which("unshare") is None or subprocess.run(probe, capture_output=True).returncode:
        print("no mount namespaces here: the worker can see the checkout")
        return command
    hide = f"mount -t tmpfs none {shlex.quote(str(_CHECKOUT))}"
    inside = f"{hide} && cd {shlex.quote(str(worker))} && exec {shlex.join(command)}"
    print("the worker sees an empty folder in place of the checkout")
    return ["unshare", "--mount", "sh", "-c", inside]


def _start(command: list[str], environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as out:
        return subprocess.Popen(
            command, env=environment, stdout=out, stderr=subprocess.STDOUT, cwd=log.parent
        )


def _wait_for(log: Path, text: str, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while text not in log.read_text(errors="replace"):
        if time.monotonic() > until:
            raise RuntimeError(f"the cluster didn't start; see {log}")
        time.sleep(0.2)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
