"""What would be sent to warehouses that no test can reach: their types, names and ways to merge, held against the docs.

dlt tells all of it without credentials, and for most of them without a driver.
"""

import re
from pathlib import Path
from typing import get_args

import dlt
import pytest
from dlt.common.data_writers.writers import resolve_best_writer_spec

from cargo_source.catalog import ENTITIES
from cargo_source.pull.dlt_tables import DLT_TYPES, MERGE, WRITTEN_AS, dlt_columns
from cargo_source.pull.syncs import COLUMNS
from tests.warehouses.places import NEWEST

DOC = (Path(__file__).parents[2] / "docs" / "warehouses.md").read_text()
KINDS = ("duckdb", "motherduck", "postgres", "snowflake", "bigquery", "databricks", "clickhouse")
TABLE = {"name": "made", "write_disposition": "merge", "x-insert-api": "copy_into"}
"""A table as dlt prepares it, with the one hint that a type mapper asks for."""
FORBIDDEN = re.compile(r"(_table_|_file_|_partition|_row_timestamp|__root__|_colidentifier)")
"""How BigQuery lets no column begin."""


def capabilities_of(kind):
    return getattr(dlt.destinations, kind)().capabilities()


def written_as(kind):
    """The form in which rows go: ours where we say so, else what dlt takes for Arrow."""
    able = capabilities_of(kind)
    formats, preferred = able.supported_loader_file_formats, able.preferred_loader_file_format
    return WRITTEN_AS.get(kind) or resolve_best_writer_spec("arrow", formats, preferred).file_format


def every_table():
    """All tables of entities, the log of syncs, and one of each type that a model's columns can have."""
    tables = {name: dlt_columns(entity.columns, entity.key) for name, entity in ENTITIES.items()}
    tables["_cargo_syncs"] = dlt_columns(COLUMNS, ("run_id", "table"))
    tables["default__companies"] = {name: {"name": name, "nullable": True, **hint} for name, hint in DLT_TYPES.items()}
    return tables


@pytest.mark.parametrize("kind", KINDS)
def test_every_column_has_a_type_that_rows_can_be_loaded_into(kind):
    """Each column of each table is made, and takes the files in which its rows go."""
    able = capabilities_of(kind)
    mapper = able.get_type_mapper()
    for name, columns in every_table().items():
        called = {able.escape_identifier(able.casefold_identifier(column)).casefold() for column in columns}
        assert len(called) == len(columns), name
        for column in columns.values():
            assert mapper.to_destination_type(column, TABLE)
            mapper.ensure_supported_type(column, TABLE, written_as(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_names_fit_and_are_allowed(kind):
    """No table or column of ours is longer than a destination takes, or begins as BigQuery forbids."""
    able = capabilities_of(kind)
    for name, columns in every_table().items():
        assert len(name) <= able.max_identifier_length
        assert all(len(column) <= able.max_column_identifier_length for column in columns)
        assert not any(FORBIDDEN.match(column) for column in columns)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_merged_in_the_one_way_that_is_exact_after_a_kill(kind):
    """Each of them can delete and insert."""
    assert MERGE["strategy"] in capabilities_of(kind).supported_merge_strategies


@pytest.mark.parametrize("kind", KINDS)
def test_the_docs_say_what_is_made(kind):
    """The line of each destination in docs/warehouses.md is what dlt says."""
    able = capabilities_of(kind)
    mapper = able.get_type_mapper()
    types = [mapper.to_destination_type({"name": "c", **hint}, TABLE) for hint in DLT_TYPES.values()]
    letters = min(able.max_identifier_length, able.max_column_identifier_length)
    line = f"| {kind} | {written_as(kind)} | {' | '.join(types)} | {letters:,} |"
    assert line in DOC


@pytest.mark.parametrize("kind", [*KINDS[1:], "filesystem"])
def test_settings_that_the_docs_name_are_dlts(kind):
    """Each variable stands for a field that dlt asks for."""
    (row,) = (line for line in DOC.splitlines() if line.startswith(f"| `{kind}` |"))
    made = dlt.destinations.filesystem("lake") if kind == "filesystem" else getattr(dlt.destinations, kind)()
    fields = made.spec().get_resolvable_fields()
    first, *more = re.findall(r"`(?:DESTINATION__[A-Z]+)?(?:__CREDENTIALS)?__([A-Z_]+)`", row.split("|")[3])
    if first in {"CREDENTIALS", "BUCKET_URL"}:
        assert first.lower() in fields
        return
    hints = get_args(fields["credentials"]) or (fields["credentials"],)
    asked = {name.upper() for hint in hints for name in hint().get_resolvable_fields()}
    assert {first, *more} <= asked


def test_the_docs_read_files_as_the_tests_do():
    """The SQL that gives the newest version of each row is the one that the story's cells were read with."""
    wanted = NEWEST.format(files="lake/cargo/agents/*.parquet", key="uuid").strip()
    assert wanted in DOC


def test_extras_of_dlt_that_the_docs_name_exist():
    """What is to be installed can be."""
    from importlib.metadata import metadata

    assert set(re.findall(r"pip install 'dlt\[(\w+)\]'", DOC)) <= set(metadata("dlt").get_all("Provides-Extra"))
