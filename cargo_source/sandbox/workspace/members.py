"""Who may do what in the workspace: roles, and the members that have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cargo_source.sandbox.identity import Stream, uuid_for
from cargo_source.sandbox.moments import DAY, HOUR, MINUTE, iso

if TYPE_CHECKING:
    from cargo_source.sandbox.workspace.team import Team
    from cargo_source.sandbox.world import World

Wire = dict[str, Any]

ROLES = (
    "admin", "member", "viewer", "billing", "revenue_ops", "sdr", "account_executive", "sales_manager", "marketing",
    "growth", "data_engineer", "analyst", "support", "customer_success", "partner", "contractor", "finance",
    "prompt_writer", "agent_builder", "play_builder", "auditor", "trainee",
)  # fmt: skip
_GROUPS = ("storage", "orchestration", "segmentation", "ai", "content", "connection")
_NAMES = (
    ("Bruno", "Keller"), ("Chloé", "Marsh"), ("Dilan", "Aydin"), ("Edith", "Okafor"), ("Femi", "Adeyemi"),
    ("Greta", "Lind"), ("Hugo", "Prieto"), ("Ines", "Duarte"), ("Jonas", "Weiß"), ("Kaori", "Mori"),
    ("Lena", "O'Brien"), ("Milan", "Novák"), ("Nadia", "Haddad"), ("Otto", "Berg"), ("Priya", "Nair"),
    ("Quentin", "Roux"), ("Rosa", "Conti"), ("Sami", "Laine"), ("Tara", "Singh"), ("Uwe", "Brandt"),
)  # fmt: skip


def role_uuid(seed: int, slug: str) -> str:
    """Return the uuid of a role."""
    return uuid_for(seed, "role", slug)


def roles(team: Team, admin: Wire) -> dict[str, Wire]:
    """Return every role by uuid; the administrators' one is there already."""
    found = {admin["uuid"]: admin}
    for place, slug in enumerate(ROLES[1:], start=1):
        uuid = role_uuid(team.seed, slug)
        found[uuid] = {
            "uuid": uuid,
            "workspaceUuid": team.workspace_uuid,
            "slug": slug,
            "permissions": _permissions(place),
            "createdAt": iso(team.created + place * MINUTE),
        }
    return found


def _permissions(place: int) -> list[Wire]:
    group = _GROUPS[place % len(_GROUPS)]
    allowed = {"effect": "allow", "resources": None, "actions": [f"{group}:read", f"{group}:write"][: 1 + place % 2]}
    denied = {"effect": "deny", "resources": [f"{group}/{place}"], "actions": [f"{group}:write"]}
    return [allowed, denied] if place % 3 == 0 else [allowed]


def users(team: Team, first: Wire, roles: dict[str, Wire]) -> dict[str, Wire]:
    """Return every member by uuid: the token's user, colleagues, and guests, of whom nothing else speaks."""
    stream = Stream(team.seed, "users")
    found = {first["uuid"]: first}
    for place, uuid in enumerate([*team.users[1:], *team.guests], start=1):
        role = None if place % 9 == 8 else roles[role_uuid(team.seed, ROLES[1 + place % (len(ROLES) - 1)])]
        joined = team.created + place * HOUR
        signed = None if place % 6 == 5 else joined + stream.whole(HOUR, 90 * DAY)
        found[uuid] = _user(team, place, uuid, role, (joined, signed))
    return found


def _user(team: Team, place: int, uuid: str, role: Wire | None, times: tuple[int, int | None]) -> Wire:
    joined, signed = times
    first, last = _NAMES[place % len(_NAMES)]
    named = place % 10 != 9  # an invited member may not have said a name yet
    cookie = {"linkedin": {"li_at": team.secret("user", uuid)}, "timezone": "Europe/Paris"}
    return {
        "uuid": uuid,
        "email": f"{first}.{last}{place}@marsh.example".lower().replace("'", ""),
        "firstName": first if named else None,
        "lastName": last if named else None,
        "picture": f"https://pictures.example/{uuid}.png" if place % 3 else None,
        "lastSignInAt": iso(signed) if signed else None,
        "createdAt": iso(joined),
        "updatedAt": iso(signed or joined),
        "webExtensionData": cookie if place % 2 else None,
        "workspaceUuid": team.workspace_uuid,
        "permissions": role["permissions"] if role else _permissions(place),
        "role": role,
    }


def join(world: World, stream: Stream, moment: int) -> Wire:
    """Let a member join as a guest, who has not signed in yet."""
    roles = world.tables["roles"]
    role = roles[world.workspace["defaultRoleUuid"]]
    place = len(_NAMES) * stream.whole(2, 4000) + stream.whole(0, len(_NAMES) - 1)
    return _user(world.team, place, stream.uuid(), role, (moment, None))


def sign_in(user: Wire, _stream: Stream, moment: int) -> None:
    """Let a member sign in; someone without a picture adds one."""
    user["lastSignInAt"] = iso(moment)
    user["picture"] = user["picture"] or f"https://pictures.example/{user['uuid']}.png"
