"""Who asks, and where: the workspace of the token and its user."""

from __future__ import annotations

from cargo_source.sandbox.answers import Answer, Call
from cargo_source.sandbox.operations import get


def _workspace(call: Call) -> Answer:
    return Answer({"workspace": call.store.world.workspace})


def _user(call: Call) -> Answer:
    return Answer({"user": call.store.world.user})


OPERATIONS = (
    get("/workspaceManagement/workspaces/current", _workspace),
    get("/workspaceManagement/users/current", _user),
    get("/userManagement/users/current", _user),
)
