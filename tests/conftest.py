import os

os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")
# What the developer has set must not reach the tests.
for name in (
    "CARGO_API_TOKEN",
    "CARGO_API_TOKEN_FILE",
    "CARGO_API_URL",
    "CARGO_IN_FLIGHT",
    "CARGO_TRANSPORT",
    "CARGO_WAIT_BUDGET",
):
    os.environ.pop(name, None)

from fnmatch import fnmatchcase

import hypothesis
import pytest

import tests.quick_dlt  # noqa: F401 - it works on dlt's modules
from cargo_source.pull import lines
from cargo_source.pull.spool import Spool
from tests.long import LONG

# Two busy cores make single examples slow; that says nothing about what is tested.
hypothesis.settings.register_profile("ours", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("ours")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Mark what takes long, before what is marked is left out."""
    found = {pattern: [item for item in items if fnmatchcase(item.nodeid, pattern)] for pattern in LONG}
    for item in {item for several in found.values() for item in several}:
        item.add_marker("long")
    missing = [pattern for pattern, several in found.items() if not several]
    if missing and config.args_source.name != "ARGS":
        raise pytest.UsageError(f"tests/long.py names tests that do not exist: {missing}")


@pytest.fixture(scope="session")
def box():
    """A sandbox that tests share and leave as it is."""
    from tests.small import small_box

    with small_box(7, companies=60) as shared:
        yield shared


@pytest.fixture(scope="session")
def full_box():
    """The same with pages enough of everything that has pages."""
    from cargo_source.sandbox import Sandbox

    with Sandbox(seed=7, companies=120) as shared:
        yield shared


@pytest.fixture
def target(tmp_path):
    """A database of a test's own."""
    from tests.target import Target

    return Target(tmp_path)


@pytest.fixture(scope="session", autouse=True)
def _first_syncs(tmp_path_factory, worker_id):
    """Have the processes of a test run share what they sync first."""
    from tests.properties.loads import FIRST_SYNCS

    base = tmp_path_factory.getbasetemp()
    shared = (base if worker_id == "master" else base.parent) / "first-syncs"
    shared.mkdir(exist_ok=True)
    os.environ[FIRST_SYNCS] = str(shared)


@pytest.fixture(scope="module")
def spool(tmp_path_factory):
    """A spool in which DuckDB types lines however few they are."""
    own = Spool(tmp_path_factory.mktemp("spool"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "FEW", 1)
        yield own
    own.close()
