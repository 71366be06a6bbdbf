from types import SimpleNamespace

import pytest

from cargo_source.sandbox import Sandbox
from tests.sandbox.asking import client


@pytest.fixture(scope="session")
def box(full_box):
    """The sandbox that these tests share, with all of its past."""
    return full_box


@pytest.fixture(scope="session")
def api(box):
    """A client of the shared sandbox."""
    with client(box) as shared:
        yield shared


@pytest.fixture(scope="module")
def own():
    """A small sandbox of a test module's own, that may be changed; `own.api` is its client."""
    with Sandbox(seed=3, companies=20) as box, client(box) as http:
        yield SimpleNamespace(box=box, api=http)


@pytest.fixture
def faulty(own):
    """The module's own sandbox with clean faults and journal, before and after."""
    own.box.faults.clear()
    own.box.journal.clear()
    yield own
    own.box.faults.clear()


@pytest.fixture(scope="session")
def companies(box):
    """The model of the workspace's own companies."""
    datasets = box.world.tables["datasets"]
    return next(
        model
        for model in box.truth("models")
        if model["slug"] == "companies" and datasets[model["datasetUuid"]]["slug"] == "default"
    )
