"""The vendor's own TypeScript client reads the sandbox: what it cannot call, read or type, the sandbox has wrong."""

import re
from itertools import islice
from types import SimpleNamespace

import pytest
import yaml

from cargo_source.sandbox import Sandbox
from tests.witness import client
from tests.witness.cases import Known
from tests.witness.disagreements import ABSENT, MORE
from tests.witness.reads import READS
from tests.witness.surface import CONTRACT_ONLY, OUTSIDE, WRITES
from tests.witness.typed import mismatches

pytestmark = pytest.mark.node

CONTRACT = client.HERE.parent / "contract" / "openapi.yaml"
UNKNOWN = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"
NOT_FOUND = {
    "storage.model.get": "Model not found.",
    "storage.relationship.get": "Relationship not found.",
    "orchestration.play.get": "Play not found.",
    "orchestration.tool.get": "Tool not found.",
    "orchestration.trace.get": "Trace not found.",
    "ai.chat.get": "Chat not found",
    "ai.message.get": "Message not found",
}
"""What the client makes of the reason in a refusal, if it knows that reason."""
METHODS = ("get", "post", "put", "patch", "delete")


@pytest.fixture(scope="module")
def surface():
    """The methods of the client with what they send."""
    return client.surface()


@pytest.fixture(scope="module")
def documented():
    """The operations of the contract."""
    paths = yaml.load(CONTRACT.read_text(), Loader=yaml.CSafeLoader)["paths"]
    return {(verb.upper(), client.shape(path)) for path, verbs in paths.items() for verb in verbs if verb in METHODS}


@pytest.fixture(scope="module")
def sandbox():
    """A sandbox over which a day has passed."""
    with Sandbox(seed=7, companies=20) as box:
        box.advance(days=1)
        yield box


@pytest.fixture(scope="module")
def told(sandbox):
    """Every read called: its cases and their answers, by method."""
    known = Known(sandbox)
    cases = {method: make(known) for method, make in READS.items()}
    calls = [(method, args) for method, each in cases.items() for case in each for args in case.calls]
    answers = client.ask(calls, sandbox.url, sandbox.token)
    by_method = {method: [each for each in answers if each.method == method] for method in READS}
    return SimpleNamespace(cases=cases, answers=by_method)


def test_every_method_of_the_client_has_its_place(surface):
    """Each is called as a read, left alone as a write, or no operation of the contract; none is in two places."""
    places = [set(READS), WRITES, *OUTSIDE.values()]
    assert sorted(method for place in places for method in place) == sorted(surface)


def test_reads_do_not_write(surface):
    """Nothing that is called changes or removes by its HTTP method."""
    assert {surface[method][0] for method in READS} <= {"GET", "POST"}


def test_reads_are_all_the_operations_that_client_and_contract_share(surface, documented):
    """What is read is in the contract, what is left out is not, and the contract has no read that nothing calls."""
    assert {method for method in READS if surface[method] not in documented} == set()
    outside = {method for methods in OUTSIDE.values() for method in methods}
    assert {method for method in outside if surface[method] in documented} == set()
    assert documented - set(surface.values()) == CONTRACT_ONLY.keys()


@pytest.mark.parametrize("method", READS)
def test_the_client_reads_the_truth(told, method):
    """Each read succeeds where the client sends it, and its answers together hold what the sandbox's store holds."""
    answers = told.answers[method]
    assert answers, "nothing was called"
    assert [each.error for each in answers if each.error] == []
    given = iter(answers)
    for case in told.cases[method]:
        case.holds([each.answer for each in islice(given, len(case.calls))])


def test_answers_fit_the_types_of_the_client(told, tmp_path):
    """Arguments and answers compile as the types that the client declares, but for the listed differences."""
    answers = [each for answers in told.answers.values() for each in answers if each.error is None]
    found, used = mismatches(answers, tmp_path)
    assert found == {}
    assert used == ABSENT.keys() | MORE.keys()


def test_the_compiler_objects_to_what_does_not_fit(tmp_path):
    """A wrong type, an unknown key, a missing key and a wrong argument are each complained of."""
    dataset = {
        "uuid": UNKNOWN,
        "workspaceUuid": UNKNOWN,
        "slug": "a",
        "kind": "native",
        "createdAt": "",
        "updatedAt": "",
    }
    wrong = [
        dataset | {"slug": 3},
        dataset | {"colour": "red"},
        {key: dataset[key] for key in dataset if key != "slug"},
    ]
    args = [[UNKNOWN], [UNKNOWN], [UNKNOWN], [3]]
    calls = [
        client.Answered("storage.dataset.get", *sent, None, "", 200, {"dataset": each}, None)
        for sent, each in zip(([each] for each in args), [*wrong, dataset], strict=True)
    ]
    found, _ = mismatches(calls, tmp_path)
    assert len(found["storage.dataset.get"]) == 4


def test_only_code_is_not_asked_for(tmp_path):
    """An action fits without its functions, and needs everything else that its type calls for."""
    texts = dict.fromkeys(("name", "description", "icon"), "a")
    action = {**texts, "category": "logic", "config": {"schema": {}}, "childrenCount": 1}
    without = [{name: action[name] for name in action if name != left} for left in action]
    calls = [
        client.Answered("connection.nativeIntegration.get", [], None, "", 200, {"nativeIntegration": integration}, None)
        for integration in ({"actions": {"a": each}, "extractors": {}} for each in (action, *without))
    ]
    found, _ = mismatches(calls, tmp_path)
    missing = [re.search(r"Property '(\w+)' is missing", each)[1] for each in found["connection.nativeIntegration.get"]]
    assert sorted(missing) == sorted(action)


def test_the_client_knows_the_reasons_of_refusals(sandbox):
    """What does not exist is refused with the reason that the client has a text for."""
    answers = client.ask([(method, [UNKNOWN]) for method in NOT_FOUND], sandbox.url, sandbox.token)
    assert {each.method: each.error["message"] for each in answers} == NOT_FOUND
    assert {each.error["type"] for each in answers} == {"RequestError"}


def test_the_client_tells_bad_tokens_from_missing_permissions(sandbox):
    """A wrong token is an authorization error, a lacking permission a request error."""
    call = [("storage.dataset.all", [])]
    (wrong,) = client.ask(call, sandbox.url, "no-such-token")
    (lacking,) = client.ask(call, sandbox.url, sandbox.token_without("storage"))
    assert (wrong.error["type"], wrong.status) == ("AuthorizationError", 401)
    assert (lacking.error["type"], lacking.status, lacking.error["message"]) == ("RequestError", 403, "forbidden")
