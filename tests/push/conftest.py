import zlib

import pytest

from tests.push.playing import as_it_was, model_of, opened
from tests.small import small_box


@pytest.fixture(scope="module")
def shared(request):
    """A workspace that the tests of a module write to, another for each module."""
    with small_box(zlib.crc32(request.module.__name__.encode()) % 1000) as box:
        yield box


@pytest.fixture
def own(shared):
    """The same, with the rows of its companies and all switches as they were afterwards."""
    writing = shared.world.writing
    with as_it_was(shared, model_of(shared, "default", "companies")):
        yield shared
    writing.left, writing.clears, writing.keeps_dates, writing.delay = None, False, False, 0.0
    writing.refused.clear()
    shared.faults.clear()


@pytest.fixture
def ws(own):
    """That workspace, opened as one whose pauses take next to no time."""
    with opened(own) as workspace:
        yield workspace


@pytest.fixture
def ledger(tmp_path):
    """Where pushes are remembered."""
    return tmp_path / "ledger.duckdb"
