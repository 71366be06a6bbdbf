"""The vendor's client, run by node on this machine."""

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Answered:
    """A call of the client: what it sent, and what it made of the answer, with null where it has undefined."""

    method: str
    args: list[Any]
    verb: str | None
    path: str
    status: int | None
    answer: Any
    error: dict[str, Any] | None


NOTHING = dict.fromkeys(("verb", "path", "status", "answer", "error"))


def shape(path):
    """A path with the names of its places taken out: the client and the contract name them differently."""
    return re.sub(r"\{[^}]*\}", "{}", path.removeprefix("/v1"))


def surface():
    """Every method of the client, with the HTTP method and the shape of the path that it sends."""
    told = [json.loads(line) for line in run({"ask": "surface"})]
    return {each["method"]: (each["verb"], shape(each["path"])) for each in told}


def ask(calls, url, token):
    """Make calls, each a method and its arguments, one after the other."""
    asked = {"ask": "calls", "calls": [{"method": method, "args": args} for method, args in calls]}
    lines = run(asked, CARGO_API_URL=url, CARGO_API_TOKEN=token)
    told = [json.loads(line) for line in lines]
    return [Answered(args=args, **{**NOTHING, **each}) for (_, args), each in zip(calls, told, strict=True)]


def run(told, **settings):
    """Run the driver and give the lines that it prints."""
    assert (HERE / "node_modules").is_dir(), "run `make witness`, which installs the client first"
    env = {"PATH": os.environ["PATH"], **settings}
    done = subprocess.run(
        ["node", "driver.mjs"], cwd=HERE, env=env, input=json.dumps(told), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
