"""Who takes part: how each is started, and where what it made is found."""

import json
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from measure import HERE, Run, environment, made, run


@dataclass(frozen=True, eq=False)
class Entrant:
    """A contender. ``arguments`` follow the place to read from and the folder to work in.

    ``reads`` names the folder of the cache that is read instead of the server. ``sql`` says whether the server offers
    SQL to it, ``peer`` the environment that it is installed in, ``dialect`` how its tables are laid out.
    """

    name: str
    script: str
    arguments: tuple[str, ...] = ()
    reads: str | None = None
    sql: bool = True
    peer: str | None = None
    dialect: str = "plain"
    more: Mapping[str, str] = field(default_factory=dict)


OURS = {
    lane: Entrant(f"cargo_source, {lane}", "ours.py", (lane,), sql=lane != "pages")
    for lane in ("export", "csv", "pages")
}
FASTER = Entrant("cargo_source, pages, fast extra", "ours.py", ("pages", "fast"), sql=False)
LIMITS = {
    "pages": Entrant("limit: raw fetch, DuckDB reads the bytes", "limit.py", ("pages", "{rows}")),
    "export": Entrant("limit: DuckDB reads the parquet files", "limit.py", ("parquet", "{rows}"), reads="parquet"),
    "csv": Entrant("limit: DuckDB reads the csv files", "limit.py", ("csv", "{rows}"), reads="csv"),
}
LEAST = {
    client: Entrant(f"limit: dlt and {client}, nothing checked or kept", "least.py", (client, "{rows}"), sql=False)
    for client in ("httpx", "pycurl")
}
TUNED = Entrant("dlt rest_api, tuned", "rest_api.py", ("tuned",))
DEFAULTS = Entrant("dlt rest_api, defaults", "rest_api.py", ("defaults",), dialect="unnested")
SINGER = Entrant("Singer SDK tap, target-duckdb", "singer.py", peer="singer")
AIRBYTE = Entrant("PyAirbyte, declarative source", "airbyte_source.py", peer="airbyte")
OUR_RUNS = Entrant("cargo_source, runs and executions", "ours.py", ("runs",))
DLT_RUNS = Entrant("dlt rest_api, tuned, its normaliser", "rest_api.py", ("runs",), dialect="unnested")


class Peers:
    """The environments of peers, each made the first time that it is needed."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._trouble: dict[str, str] = {}

    def python(self, peer: str) -> Path:
        """Give the interpreter of a peer's environment."""
        return self._cache / f"venv-{peer}" / "bin" / "python"

    def trouble(self, peer: str) -> str:
        """Install a peer, and say what went wrong, if anything did."""
        if peer not in self._trouble:
            self._trouble[peer] = self._install(peer)
        return self._trouble[peer]

    def _install(self, peer: str) -> str:
        wanted, home = HERE / "peers" / f"{peer}.txt", self._cache / f"venv-{peer}"
        stamp = home / "installed.txt"
        if stamp.exists() and stamp.read_text() == wanted.read_text():
            return ""
        print(f"installing {peer} ...", flush=True)
        shutil.rmtree(home, ignore_errors=True)
        log = self._cache / f"venv-{peer}.log"
        install = [str(self.python(peer)), "-m", "pip", "install", "--no-deps", "-r", str(wanted)]
        with log.open("w") as out:
            for command in ([sys.executable, "-m", "venv", str(home)], install):
                if subprocess.run(command, stdout=out, stderr=out, env=environment(), check=False).returncode:
                    return f"cannot be installed here: see {log.name} in the cache"
        stamp.write_text(wanted.read_text())
        return ""


@dataclass(frozen=True)
class Place:
    """Where a race is run: the cache, a folder to work in, and servers by whether they offer SQL."""

    cache: Path
    work: Path
    peers: Peers
    rows: int
    urls: Mapping[bool, str]

    def take(self, entrant: Entrant, table: str = "companies", **how: Any) -> Run:
        """Run a contender once, in an empty folder, and look into what it made."""
        python = sys.executable
        if entrant.peer:
            if trouble := self.peers.trouble(entrant.peer):
                return Run(trouble=trouble)
            python = str(self.peers.python(entrant.peer))
        folder = self.work / "run"
        if not how.pop("keep", False):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        url = self.urls[entrant.sql]
        source = str(self.cache / f"companies-{self.rows}" / entrant.reads) if entrant.reads else url
        told = [argument.format(rows=self.rows) for argument in entrant.arguments]
        ask(url, "reset")
        command = [python, str(HERE / "contenders" / entrant.script), source, str(folder), *told]
        found = run(command, folder, more=entrant.more, **how)
        found.asked = ask(url, "counts")
        if not found.trouble and (folder / "warehouse.duckdb").exists():
            arguments = ["checksum.py", str(folder / "warehouse.duckdb"), table, entrant.dialect]
            found.landed = json.loads(made(arguments, python))
        return found


def ask(url: str, what: str) -> dict[str, Any]:
    """Ask the server's own door."""
    with urllib.request.urlopen(f"{url}/_bench/{what}", data=b"" if what != "counts" else None) as answer:
        found: dict[str, Any] = json.load(answer)
    return found
