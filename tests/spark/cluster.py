"""Spark on this machine: by itself, or a standalone master with two workers."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pyspark
from pyspark.sql import SparkSession

HOME = Path(pyspark.__file__).parent
LOCAL = "127.0.0.1"


def session(master: str, **settings: str) -> SparkSession:
    """Start a session that shows nothing and shuffles in few parts."""
    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master(master).appName("cargo_source")
    quiet = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.host": LOCAL,
        "spark.driver.bindAddress": LOCAL,
        "spark.sql.shuffle.partitions": "4",
        "spark.sql.session.timeZone": "UTC",
    }
    for name, value in (quiet | settings).items():
        builder = builder.config(name, value)
    made = builder.getOrCreate()
    made.sparkContext.setLogLevel("OFF")
    return made


def _port() -> int:
    with socket.socket() as free:
        free.bind((LOCAL, 0))
        return int(free.getsockname()[1])


class Cluster:
    """A standalone master and its workers, each in a process group of its own with the executors that it starts."""

    def __init__(self, folder: Path, workers: int = 2) -> None:
        self._folder, port, self._page = folder, _port(), _port()
        self.url = f"spark://{LOCAL}:{port}"
        where = ("--host", LOCAL, "--port", str(port), "--webui-port", str(self._page))
        self._master = self._start("master.Master", *where)
        self._until(0)
        each = ("--host", LOCAL, "--cores", "1", "--memory", "2g", "--webui-port", "0", "--work-dir", str(folder))
        self.workers = [self._start("worker.Worker", *each, self.url) for _ in range(workers)]
        self._until(workers)

    def _start(self, what: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [str(HOME / "bin" / "spark-class"), f"org.apache.spark.deploy.{what}", *arguments]
        environment = {**os.environ, "SPARK_HOME": str(HOME), "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": LOCAL}
        with (self._folder / f"{what}.log").open("ab") as log:
            return subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)

    def _until(self, workers: int) -> None:
        """Wait until so many workers have come."""
        for _ in range(300):
            try:
                if httpx.get(f"http://{LOCAL}:{self._page}/json/").json()["aliveworkers"] >= workers:
                    return
            except (httpx.HTTPError, ValueError):
                pass
            time.sleep(0.2)
        raise TimeoutError("no cluster")

    def kill(self, worker: int) -> None:
        """Kill a worker and its executors, as a machine that is lost does."""
        os.killpg(self.workers[worker].pid, signal.SIGKILL)

    def close(self) -> None:
        for process in (*self.workers, self._master):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def standalone(folder: Path) -> Iterator[Cluster]:
    """Run a master with two workers."""
    cluster = Cluster(folder)
    try:
        yield cluster
    finally:
        cluster.close()
