import json
import uuid
from email.utils import parsedate_to_datetime

import httpx
import pytest

from cargo_source.sandbox.gate import RateLimit
from cargo_source.sandbox.routes import OPERATIONS
from tests.sandbox.conftest import client

SOME = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Basic abc", "Bearer", ""])
def test_a_missing_or_wrong_token_gets_a_bare_401(box, header):
    """Without the token of the workspace nothing is told, not even which paths exist."""
    headers = {} if header is None else {"authorization": header}
    for path in ("/v1/storage/models/list", "/v1/no/such/path"):
        answer = httpx.get(box.url + path, headers=headers)
        assert (answer.status_code, answer.content) == (401, b"")


@pytest.mark.parametrize(
    ("group", "path"),
    [
        ("storage", "/storage/models/list"),
        ("segmentation", "/segmentation/segments/list"),
        ("orchestration", "/orchestration/plays/list"),
        ("ai", "/ai/agents/list"),
        ("workspaceManagement", "/workspaceManagement/workspaces/current"),
        ("connection", "/connection/connectors/list"),
        ("content", "/content/files/list"),
        ("billing", "/billing/subscriptions"),
        ("systemOfRecordIntegration", "/systemOfRecordIntegration/logs/list"),
    ],
)
def test_a_token_that_lacks_a_permission_is_forbidden_there_and_only_there(box, group, path):
    """A 403 with the documented body on the group that is lacking; the other groups and users/current answer."""
    with client(box, box.token_without(group)) as api:
        answer = api.get(path)
        assert (answer.status_code, answer.json()) == (403, {"errorMessage": "forbidden"})
        assert api.get("/userManagement/users/current").status_code == 200
        other = "/ai/agents/list" if group != "ai" else "/storage/models/list"
        assert api.get(other).status_code == 200


ADMINS_ONLY = {
    "/billing/usage/metrics",
    "/billing/subscriptions",
    "/billing/subscriptions/invoices",
    "/workspaceManagement/users/list",
    "/workspaceManagement/roles/list",
}


def test_a_member_is_forbidden_what_only_an_administrator_may(box):
    """A member's token gets 403 on billing, users and roles, whatever it sends, and is let in everywhere else."""
    with client(box, box.token_for_member()) as api:
        for operation in OPERATIONS:
            answer = api.request(operation.method, operation.path.replace("{uuid}", SOME))
            if operation.path in ADMINS_ONLY:
                assert (answer.status_code, answer.json()) == (403, {"errorMessage": "forbidden"}), operation.path
            else:
                assert answer.status_code in {200, 400, 404, 415}, operation.path


def test_an_unknown_group_of_permissions_is_refused(box):
    """A misspelt group would silently give a token that may do everything."""
    with pytest.raises(ValueError, match="no such group"):
        box.token_without("segmentations")


def test_unknown_paths_and_methods_get_404_and_405(api):
    """A path that is not there is 404, a method that is not there is 405, both as JSON."""
    for path in ("/no/such/path", "/storage/models/list/", "/storage"):
        answer = api.get(path)
        assert (answer.status_code, set(answer.json())) == (404, {"errorMessage"})
    assert api.get("/orchestration/runs/list").status_code == 400  # `list` is no uuid of a run
    assert api.delete("/storage/datasets/list").status_code == 405
    assert api.get("/storage/query").status_code == 405


def test_bodies_have_to_be_json_and_say_so(api):
    """Another content type is 415, a body that does not parse is 400."""
    assert api.post("/storage/query", content="{}", headers={"content-type": "text/plain"}).status_code == 415
    assert api.post("/storage/query").status_code == 415
    for content in (b"", b"{", b'{"query": NaN}', b'{"query": "\xff"}'):
        answer = api.post("/storage/query", content=content, headers={"content-type": "application/json"})
        assert (answer.status_code, set(answer.json())) == (400, {"errorMessage"})


def issues(answer):
    assert answer.status_code == 400, answer.text
    return json.loads(answer.json()["errorMessage"])


def test_an_unknown_key_is_named_in_the_refusal(api):
    """Bodies are strict: the refusal is a serialised list of issues, with code, path and message."""
    body = {"startedAfter": "2026-01-01T00:00:00Z", "startedafter": 1, "status": []}
    (issue,) = issues(api.post("/orchestration/traces/list", json=body))
    assert (issue["code"], issue["keys"], issue["path"]) == ("unrecognized_keys", ["startedafter", "status"], [])
    assert issue["message"]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, ["modelUuid"]),
        ({"modelUuid": None}, ["modelUuid"]),
        ({"modelUuid": 7}, ["modelUuid"]),
        ({"modelUuid": "6f9619ff-8b86-1d01-b42d-00cf4fc964ff"}, ["modelUuid"]),
        ({"modelUuid": SOME, "limit": 0}, ["limit"]),
        ({"modelUuid": SOME, "limit": 101}, ["limit"]),
        ({"modelUuid": SOME, "limit": "10"}, ["limit"]),
        ({"modelUuid": SOME, "limit": True}, ["limit"]),
        ({"modelUuid": SOME, "offset": -1}, ["offset"]),
        ({"modelUuid": SOME, "offset": 9007199254740992}, ["offset"]),
        ({"modelUuid": SOME, "fromIngest": "no"}, ["fromIngest"]),
        ({"modelUuid": SOME, "sort": {"kind": "asc", "columnSlug": "name"}}, ["sort", "columnSlug"]),
        ({"modelUuid": SOME, "sort": [{"kind": "asc", "columnSlug": "_id"}]}, ["sort"]),
    ],
)
def test_a_broken_value_is_named_by_its_path(api, body, path):
    """Missing, null, mistyped, out of bounds, not a version 4 uuid: 400 with the path of the value."""
    found = issues(api.post("/storage/records/list", json=body))
    assert [issue["path"] for issue in found] == [path]
    assert all(issue["message"] and issue["code"] for issue in found)


@pytest.mark.parametrize(
    ("path", "query", "where"),
    [
        ("/storage/columns/list", {}, ["modelUuid"]),
        ("/storage/columns/list", {"modelUuid": "x"}, ["modelUuid"]),
        ("/segmentation/changes/list", {}, ["segmentUuid"]),
        ("/ai/chats/list", {"limit": "0"}, ["limit"]),
        ("/ai/chats/list", {"limit": "ten"}, ["limit"]),
        ("/ai/chats/list", {"createdAfter": "yesterday"}, ["createdAfter"]),
        ("/ai/chats/list", {"createdAfter": "2026-02-30T00:00:00Z"}, ["createdAfter"]),
        ("/ai/chats/list", {"triggerType": "mail"}, ["triggerType"]),
        ("/ai/chats/list", {"messageStatuses[]": ["error", "gone"]}, ["messageStatuses", 1]),
        ("/ai/chats/list", {"messageStatuses": "error"}, ["messageStatuses"]),
        ("/orchestration/plays/list", {"isEnabled": "1"}, ["isEnabled"]),
        ("/orchestration/plays/list", {"modelUuid": [SOME, SOME]}, ["modelUuid"]),
        ("/storage/models/list", {"datasetUuid": SOME}, []),
        ("/storage/models/not-a-uuid", {}, ["uuid"]),
        ("/content/files/list", {"kind": "remote"}, ["kind"]),
        ("/ai/files/list", {"kind": "native"}, []),
        ("/ai/memories/list", {}, ["scope"]),
        ("/ai/memories/list", {"scope": "workspace"}, ["scope"]),
        ("/ai/memories/list", {"scope": "agent"}, ["agentUuid"]),
        ("/connection/integrations/list", {"hasActions": "yes"}, ["hasActions"]),
        ("/connection/integrations/list", {"slugs[]": "slack"}, []),
        ("/billing/usage/metrics", {"from": "2026-01-01"}, ["to"]),
        ("/billing/usage/metrics", {"from": "2026-01-01", "to": "2026-02-30"}, ["to"]),
        ("/billing/usage/metrics", {"from": "2026-01-01", "to": "20260131"}, ["to"]),
        ("/billing/usage/metrics", {"from": "2026-01-01", "to": "2026-01-31", "unit": "credits"}, ["unit"]),
        ("/systemOfRecordIntegration/logs/list", {"statuses[]": "failed"}, ["statuses", 0]),
    ],
)
def test_queries_are_checked_like_bodies(api, path, query, where):
    """A bad uuid, number, date, enum value, array form or unknown key in a query is a 400 that names it."""
    assert [issue["path"] for issue in issues(api.get(path, params=query))] == [where]


def test_every_answer_has_the_sandboxs_time_and_an_id(box, api):
    """Date is the sandbox's own time and x-request-id is new each time, on refusals too."""
    answers = [api.get("/storage/models/list"), api.get("/nothing"), httpx.get(f"{box.url}/v1/storage/models/list")]
    for answer in answers:
        assert parsedate_to_datetime(answer.headers["date"]) == box.world.now.replace(microsecond=0)
        assert uuid.UUID(answer.headers["x-request-id"]).version == 4
    assert len({answer.headers["x-request-id"] for answer in answers}) == 3


def test_past_the_rate_limit_the_answer_is_429(own):
    """Beyond a second's worth of requests the workspace answers 429, with Retry-After if so set; then it recovers."""
    rate = own.box.rate
    rate.per_second = 5
    try:
        answers = [own.api.get("/ai/agents/list") for _ in range(8)]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert refused
        assert "retry-after" not in refused[0].headers
        rate.retry_after = 3
        assert {a.headers.get("retry-after") for a in (own.api.get("/ai/agents/list") for _ in range(6))} >= {"3"}
    finally:
        rate.per_second, rate.retry_after = None, None
    assert own.api.get("/ai/agents/list").status_code == 200


def test_the_bucket_fills_with_time():
    """A burst of one second's worth, then exactly the rate."""
    clock = iter([0.0, *[0.0] * 4, 0.5, 0.5, 0.5, 10.0, 10.0, 10.0, 10.0, 10.0]).__next__
    rate = RateLimit(4, clock=clock)
    assert [rate.allows() for _ in range(4)] == [True] * 4
    assert [rate.allows() for _ in range(3)] == [True, True, False]
    assert [rate.allows() for _ in range(5)] == [True] * 4 + [False]
