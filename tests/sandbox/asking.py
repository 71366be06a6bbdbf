"""Requests whose answers are held against the contract at once."""

import re

import httpx
import schemathesis

from tests.sandbox.test_contract import CONTRACT

NOBODY = "00000000-0000-4000-8000-000000000000"
"""A uuid that nothing has."""
SCHEMA = schemathesis.openapi.from_dict(CONTRACT)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def client(box, token=None):
    """Give a client of a sandbox."""
    return httpx.Client(base_url=f"{box.url}/v1", headers={"authorization": f"Bearer {token or box.token}"}, timeout=20)


def ask(api, method, path, body=None, **params):
    """Send a request and give the answer's status and body."""
    answer = api.request(method, path, json=body, params=params or None)
    SCHEMA[_UUID.sub("{uuid}", path)][method].validate_response(answer)
    return answer.status_code, answer.json() if answer.content else None


def refused(api, method, path, body=None):
    """Send a request that is refused, and give the reason or the text."""
    status, said = ask(api, method, path, body)
    assert status == (404 if said.get("reason", "").endswith("NotFound") else 400)
    return said.get("reason") or said["errorMessage"]


def done(api, method, path, body=None, **params):
    """Send a request that is done, and give what is answered."""
    status, said = ask(api, method, path, body, **params)
    assert status in {200, 204}, said
    return said


def named(box, key):
    """Give the uuid of a `<dataset>.<model>` that is there."""
    return next(uuid for uuid in box.world.tables["models"] if box.world.spec_of(uuid).key == key)


def dataset(box, slug):
    return next(row for row in box.truth("datasets") if row["slug"] == slug)


def made(api, box, slug, columns=(("name", "string"), ("score", "number")), **more):
    """Make a native model with columns of these types."""
    config = {"columns": [{"slug": name, "type": kind} for name, kind in columns]}
    sent = {"slug": slug, "name": slug.title(), "datasetUuid": dataset(box, "default")["uuid"], "config": config}
    return done(api, "POST", "/storage/models", sent | {"extractorSlug": "defineCustom"} | more)["model"]


def created(api, model, *rows):
    """Create rows and give them as they are stored."""
    sent = {"modelUuid": model, "records": [{"data": row} for row in rows]}
    return done(api, "POST", "/storage/records/createBulk", sent)["records"]


def names(api, model):
    """The columns of a model's table, as its DDL names them."""
    return re.findall(r"^  `(.+?)` ", done(api, "GET", f"/storage/models/{model}/ddl")["ddl"], re.MULTILINE)
