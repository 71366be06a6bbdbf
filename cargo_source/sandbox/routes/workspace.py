"""Who asks, and where: the workspace of the token, its members, their roles, and folders."""

from __future__ import annotations

from cargo_source.sandbox.answers import Answer, Call
from cargo_source.sandbox.listings import Getting, Listing
from cargo_source.sandbox.operations import get


def _workspace(call: Call) -> Answer:
    return Answer({"workspace": call.store.world.workspace})


def _workspaces(call: Call) -> Answer:
    """List what the token reaches: a token of the API is bound to one workspace."""
    return Answer({"workspaces": [call.store.world.workspace]}, "workspaces", 1)


def _user(call: Call) -> Answer:
    return Answer({"user": call.store.world.user})


OPERATIONS = (
    get("/workspaceManagement/workspaces/current", _workspace),
    get("/workspaceManagement/workspaces/list", _workspaces),
    get("/workspaceManagement/users/current", _user),
    get("/userManagement/users/current", _user),
    get("/workspaceManagement/users/list", Listing("users", "users"), admin=True),
    get("/workspaceManagement/roles/list", Listing("roles", "roles"), admin=True),
    get("/workspaceManagement/folders/list", Listing("folders", "folders")),
    get("/workspaceManagement/folders/{uuid}", Getting("folders", "folder", "folderNotFound")),
)
