"""An orchestrator in an environment and a process of its own, which plays what a test asks it to."""

import json
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def python_of(name):
    """The interpreter of an orchestrator's environment, which has to be there."""
    python = ROOT / f".venv-{name}" / "bin" / "python"
    assert python.exists(), f"make .venv-{name}/.installed"
    return python


def environment(box, folder):
    """What a process gets to know: a workspace, and a folder for everything that it writes."""
    return {
        **os.environ,
        "CARGO_API_URL": box.url,
        "CARGO_API_TOKEN": box.token,
        "DLT_DATA_DIR": str(folder / "dlt"),
        "HOME": str(folder),
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "pipelines"))),
        "PYTHONWARNINGS": "ignore",
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        # Its own server takes long to start where others work as well.
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "DO_NOT_TRACK": "1",
    }


class Player:
    """A process that plays one thing after another; what it logs is in `log`."""

    def __init__(self, name, box, folder, **more):
        self._log = folder / "log.txt"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [python_of(name), ROOT / "tests" / "orchestrators" / f"play_{name}.py"],
                cwd=folder,
                env={**environment(box, folder), **more},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def __call__(self, **asked):
        """Play something, and give what came of it."""
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise AssertionError(self.log)

    @property
    def log(self):
        """All that it wrote to standard error."""
        return self._log.read_text()

    def close(self):
        """Let it end."""
        self._process.stdin.close()
        with self._process.stdout as told:
            told.read()
        assert self._process.wait(60) == 0, self.log
