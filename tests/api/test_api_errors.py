"""What each refusal becomes."""

import copy
import pickle

import pytest

from cargo_source import errors
from cargo_source.api.refusals import issues_of, reason_of
from cargo_source.errors import (
    AuthError,
    BadSettings,
    Busy,
    CargoError,
    DestinationRefused,
    IncompleteRead,
    NotFound,
    PermissionDenied,
    RequestRefused,
    ServerFailed,
    StopAndLook,
    TryLater,
    UnexpectedShape,
    suggest,
)
from tests.api.fake_api import Out, script


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (401, {"errorMessage": "unauthorized"}, AuthError),
        (403, {"errorMessage": "forbidden"}, PermissionDenied),
        (404, {}, NotFound),
        (400, {"reason": "modelNotFound"}, NotFound),
        (500, {"reason": "clientNotFound"}, NotFound),
        (403, {"reason": "modelNotFound"}, PermissionDenied),
        (409, {"reason": "whatever"}, Busy),
        (400, {"reason": "alreadyRunning"}, Busy),
        (400, {"reason": "notEnoughCredits"}, RequestRefused),
        (418, {}, RequestRefused),
        (499, "not an object", RequestRefused),
        (501, {"reason": "failedToGetDdl"}, ServerFailed),
    ],
)
def test_a_refusal_becomes_the_error_of_its_remedy(serve, connect, status, body, error):
    """The reason decides first, then the status; every error says where it happened."""
    fake = serve(script(Out(status, json=body, headers={"x-request-id": "req-9"})))
    with pytest.raises(CargoError) as caught:
        connect(fake).get("storage/models/list")
    found = caught.value
    assert type(found) is error
    assert (found.method, found.path, found.status, found.request_id) == ("GET", "storage/models/list", status, "req-9")
    assert found.reason == (body.get("reason") if isinstance(body, dict) else None)
    assert str(found).startswith("GET storage/models/list: ")
    assert "request id req-9" in str(found)
    assert "\n" not in str(found)
    assert found.remedy in str(found)


def test_exits_follow_the_remedy():
    """2 is for settings, 3 for stop and look, 1 for the rest."""
    classes = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, CargoError)]
    assert len(classes) > 15
    for error in classes:
        expected = 2 if issubclass(error, errors.SettingsError | errors.WrongHost) else 1
        assert error("x").exit_code == (3 if issubclass(error, StopAndLook) else expected)
        assert error.__name__ in (errors.__doc__ or "")


def test_a_retry_helps_where_what_went_wrong_may_pass():
    """Schedulers retry these and no others, by the error or by its name in a report."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.CargoError)]
    later = {kind.__name__ for kind in kinds if issubclass(kind, errors.TryLater)}
    assert {kind.__name__ for kind in kinds if kind.retry_helps} == {
        *later,
        "OutOfTime",
        "StalePlan",
        "DestinationRefused",
    }
    assert {kind.__name__ for kind in kinds if errors.passes(kind.__name__)} == {
        kind.__name__ for kind in kinds if kind.retry_helps
    }
    assert not any(errors.passes(name) for name in (None, "", "KeyError", "suggest", "CargoError"))


def test_a_host_that_is_not_the_api_is_pointed_out(serve, connect):
    """A 404 with a web page asks whether the URL is right."""
    with pytest.raises(NotFound, match=r"web page: is CARGO_API_URL right\?"):
        connect(serve(script(Out(404, body=b"<html>nginx</html>")))).get("x")


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("https://login.example.com/in?signature=canary", "login.example.com"),
        ("https://user:canary@evil.example", "evil.example"),
        ("/elsewhere", "elsewhere"),
        ("http://[broken", "elsewhere"),
        ("", "elsewhere"),
    ],
)
@pytest.mark.parametrize("method", ["get", "post"])
def test_a_redirect_is_not_followed(serve, connect, location, host, method):
    """The token goes to no other host: a redirect is an error that names the host, without the query."""
    fake = serve(script(Out(302, headers={"location": location})))
    with pytest.raises(BadSettings) as caught:
        getattr(connect(fake), method)("x")
    assert f"redirects to {host}" in str(caught.value)
    assert "CARGO_API_URL" in str(caught.value)
    assert "canary" not in str(caught.value)
    assert len(fake.seen) == 1


def test_validation_issues_are_told(serve, connect):
    """A 400 says which part of the request was wrong."""
    issues = '[{"code":"too_big","path":["limit"],"message":"Number must be less than or equal to 1000"}]'
    with pytest.raises(RequestRefused, match="limit: Number must be less than or equal to 1000"):
        connect(serve(script(Out(400, json={"errorMessage": issues})))).get("x")


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ([{"path": ["data", 3, "name"], "message": "Required"}], "data.3.name: Required"),
        ([{"path": [], "message": "Expected object, received string"}], "body: Expected object…"),
        ([{"path": ["kind"], "message": "Expected 'a' | 'b', received 'canary cell'"}], "kind: Expected … | ……"),
        (
            [{"code": "unrecognized_keys", "keys": ["foo", "canary cell"], "message": 'Unrecognized "foo"'}],
            "body: Unrecognized … (foo)",
        ),
        ([{"path": ["canary cell"], "message": "Required"}], "…: Required"),
        ([{"path": "limit", "message": "Required"}], "limit: Required"),
        ([{"path": ["a"], "message": "m"}] * 5, "a: m; a: m; a: m; and 2 more"),
        ("syntax error near 'canary cell'", ""),
        ('{"message": "canary cell"}', ""),
        (None, ""),
        ([1, {"path": []}], ""),
    ],
)
def test_messages_of_the_server_are_told_without_values(message, told):
    """Only paths and messages of validation issues are shown, and nothing that they quote or received."""
    assert issues_of(message) == told


def test_the_text_of_a_failure_is_not_told(serve, connect):
    """What a warehouse says about a query may quote cells: it is in no text of the error."""
    body = {"errorMessage": "Could not convert 'canary cell' to INT64", "reason": "unknown"}
    with pytest.raises(RequestRefused) as caught:
        connect(serve(script(Out(400, json=body)))).post("storage/query", {"query": "SELECT 1"})
    assert "reason unknown" in str(caught.value)
    assert "canary" not in str(caught.value) + repr(caught.value) + repr(vars(caught.value))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"reason": "dataError", "dataError": {"reason": "noRecords"}}, "dataError.noRecords"),
        ({"reason": "dataError", "dataError": "x"}, "dataError"),
        ({"reason": "the value 'canary cell'"}, None),
        ({"reason": 5}, None),
        ({}, None),
    ],
)
def test_reasons_are_names(body, reason):
    """A reason is shown only where it looks like one; the nested reason of a batch is appended."""
    assert reason_of(body) == reason


def test_a_request_id_that_is_none_is_not_shown(serve, connect):
    """A header that could hold anything is shown only where it looks like an id."""
    with pytest.raises(NotFound) as caught:
        connect(serve(script(Out(404, headers={"x-request-id": "a b <c>"})))).get("x")
    assert caught.value.request_id is None


def test_a_status_of_no_standard_is_still_an_error(serve, connect):
    """A status that nobody defined is a refusal or a failure by its number."""
    with pytest.raises(ServerFailed, match="a status of its own"):
        connect(serve(script(Out(599)))).post("x")


def test_errors_can_be_raised_by_hand():
    """Errors of other layers need no request, and say in their own words what to do."""
    assert str(BadSettings("there is no model 'x'; run discover")) == "there is no model 'x'; run discover"
    error = IncompleteRead("models: 3 expected, 2 came", expected=3, got=2)
    assert (error.expected, error.got, str(error)) == (3, 2, "models: 3 expected, 2 came")
    assert str(UnexpectedShape("no links")) == "no links"


def test_errors_survive_copying_and_pickling():
    """Worker processes hand errors over whole."""
    error = NotFound("there is no such thing", method="GET", path="x", status=404, reason="modelNotFound")
    for twin in (copy.deepcopy(error), pickle.loads(pickle.dumps(error))):
        assert str(twin) == str(error)
        assert (type(twin), vars(twin)) == (NotFound, vars(error))


def test_a_known_name_is_suggested():
    """A typing error is answered with the name that was meant, if there is one."""
    assert suggest("modles", ["models", "runs"]) == " (did you mean 'models'?)"
    assert suggest("zzz", ["models", "runs"]) == ""


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        (OSError(28, "No space left on device", "/data/x.duckdb"), "No space left on device: /data/x.duckdb"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (ValueError("Could not convert string 'canary cell' to INT\nmore"), "Could not convert string '…' to INT"),
        (ValueError(), "ValueError"),
        (type("IOException", (Exception,), {})('Cannot open "/data/x.duckdb"'), 'Cannot open "/data/x.duckdb"'),
    ],
)
def test_a_destination_that_refuses_is_told_in_one_line(cause, told):
    """What the destination says is told without the values that it quotes."""
    error = DestinationRefused.from_cause(cause, step="load")
    assert told in str(error)
    assert "canary" not in str(error)
    assert "\n" not in str(error)
    assert not isinstance(error, TryLater)
