"""Settings of a destination that are wrong: one clear line, before anything is asked of Cargo, and exit 2."""

import importlib.util
import os

import pytest

from tests.forked import run_command

NOWHERE = "http://127.0.0.1:1"
"""Nobody answers there, so a command that asked would say so."""
SECRET = "pass-3b71-word"
CREDENTIALS = "DESTINATION__POSTGRES__CREDENTIALS"


def told(tmp_path, destination, **settings):
    """The one line that `sync` says."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CARGO_", "DESTINATION_"))}
    environment |= {"HOME": str(tmp_path), "CARGO_API_TOKEN": "t", "CARGO_API_URL": NOWHERE, "CARGO_WAIT_BUDGET": "0"}
    done = run_command(["sync", "--destination", destination], tmp_path, environment | settings)
    (line,) = done.stderr.strip().splitlines()
    assert done.returncode == 2, line
    assert SECRET not in line
    return line


@pytest.mark.parametrize(
    ("destination", "meant"),
    [("postgress", "postgres"), ("Postgres", "postgres"), ("duck db", "duckdb"), ("", None), ("no.such", None)],
)
def test_a_wrong_name_is_told_with_the_one_that_was_meant(tmp_path, destination, meant):
    """dlt knows more of them than are worth a list."""
    line = told(tmp_path, destination)
    assert f"--destination {destination!r}: dlt knows no such destination" in line
    assert ("did you mean" in line) == (meant is not None)
    assert meant is None or f"'{meant}'" in line


@pytest.mark.parametrize(
    ("destination", "settings", "module", "extra"),
    [
        ("snowflake", {}, "snowflake", "pip install 'dlt[snowflake]'"),
        ("databricks", {}, "databricks", "pip install 'dlt[databricks]'"),
        ("filesystem", {"DESTINATION__FILESYSTEM__BUCKET_URL": "s3://bucket/lake"}, "s3fs", "pip install 'dlt[s3]'"),
    ],
)
def test_a_driver_that_is_not_installed_is_named_with_what_to_install(tmp_path, destination, settings, module, extra):
    """Files in S3 need one, too, which shows only with the address."""
    assert importlib.util.find_spec(module) is None
    line = told(tmp_path, destination, **settings)
    assert f"--destination {destination}: it needs a driver: {extra}" in line


@pytest.mark.parametrize(
    ("destination", "settings", "lacks"),
    [
        ("postgres", {}, "credentials (database, host, password, username)"),
        ("postgres", {f"{CREDENTIALS}__HOST": "db.example"}, "credentials (database, password, username)"),
        ("postgres", {CREDENTIALS: "postgresql://loader@127.0.0.1/warehouse"}, "credentials (password)"),
        ("filesystem", {}, "bucket_url"),
    ],
)
def test_settings_that_lack_are_named_with_where_they_belong(tmp_path, destination, settings, lacks):
    """Down to the part of the credentials."""
    line = told(tmp_path, destination, **settings)
    assert f"--destination {destination}: a setting is missing: {lacks}; dlt finds its settings in" in line
    assert f"DESTINATION__{destination.upper()}__" in line


@pytest.mark.parametrize("credentials", [SECRET, ""], ids=["no URL", "empty"])
def test_credentials_that_are_no_url_are_told_with_how_one_looks(tmp_path, credentials):
    """And never shown."""
    line = told(tmp_path, "postgres", **{CREDENTIALS: credentials})
    assert "a setting cannot be read: credentials are a URL, as in postgres://user:password@host/database" in line


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (f"postgresql://loader:{SECRET}@127.0.0.1:1/warehouse", "Connection refused"),
        (f"postgresql://loader:{SECRET}@no-such-host.invalid/warehouse", "could not translate host name"),
        (f"mysql://loader:{SECRET}@127.0.0.1:1/warehouse", "invalid dsn"),
    ],
)
def test_a_server_that_does_not_answer_is_told_with_why(tmp_path, url, why):
    """What the driver says of it, without what it quotes."""
    line = told(tmp_path, "postgres", **{CREDENTIALS: url})
    assert "--destination postgres: it cannot be reached (" in line
    assert why in line
