import pytest

from tests.warehouses.places import InDuckDb, InFiles, InPostgres
from tests.warehouses.postgres import postgres_server


@pytest.fixture(scope="session")
def server():
    """A PostgreSQL server for all tests of a process."""
    with postgres_server() as running:
        yield running


@pytest.fixture(params=["duckdb", pytest.param("postgres", marks=pytest.mark.postgres), "files"])
def place(request, tmp_path):
    """Somewhere to load to, empty."""
    if request.param == "postgres":
        return InPostgres(tmp_path, request.getfixturevalue("server").new_database())
    return {"duckdb": InDuckDb, "files": InFiles}[request.param](tmp_path)
