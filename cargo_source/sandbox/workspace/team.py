"""Whose workspace it is: the workspace itself, the token's user, colleagues, connectors and folders."""

from typing import Any

from cargo_source.sandbox.identity import Stream, number_for, uuid_for
from cargo_source.sandbox.moments import DAY, HOUR, iso
from cargo_source.sandbox.workspace.warehouse import HISTORY_DAYS

SECRET = "sandbox-secret-"  # noqa: S105 - a made-up value that tests look for
PERSONAL = "sandbox-personal-"
"""Stands in texts that are personal data, so that tests can look for them."""
COLLEAGUES = 6
GUESTS = 22
FOLDER_KINDS = ("tool", "play", "agent", "file", "mcpServer", "model", "app", "worker", "alert")
FOLDERS_EACH = 5
CONNECTED = (
    "hubspot", "salesforce", "stripe", "zendesk", "apollo", "google_sheets", "http", "segment", "snowflake", "gong",
    "intercom", "agent", "agent_", "attio", "pipedrive", "mixpanel", "outreach", "clearbit", "linkedin", "slack",
    "bigquery", "openai", "anthropic",
)  # fmt: skip
GROUPS = (
    "ai", "billing", "connection", "content", "orchestration", "segmentation", "storage", "workspaceManagement",
)  # fmt: skip
"""Groups of permissions; no action stands for all of them."""
LANGUAGE_MODELS = (("openai", "gpt-4o"), ("openai", "gpt-4o-mini"), ("anthropic", "claude-sonnet-4"))


class Team:
    """Uuids that many entities refer to: colleagues, who make things, guests, who do not, connectors and folders."""

    def __init__(self, seed: int, start: int) -> None:
        self.seed = seed
        self.created = start - HISTORY_DAYS * DAY
        self.workspace_uuid = uuid_for(seed, "workspace")
        self.users = [uuid_for(seed, "user", number) for number in range(COLLEAGUES)]
        self.connectors = {slug: uuid_for(seed, "connector", slug) for slug in CONNECTED}
        self.guests = [uuid_for(seed, "guest", number) for number in range(GUESTS)]
        self.folders = {
            kind: [uuid_for(seed, "folder", kind, number) for number in range(FOLDERS_EACH)] for kind in FOLDER_KINDS
        }
        self._secrets = 0

    def secret(self, *owner: object) -> str:
        """Return a made-up secret that is easy to recognise where it must not appear.

        It follows from its owner's name; without one it is the next in line.
        """
        if owner:
            return f"{SECRET}{number_for(self.seed, 'secret', *owner) % 10**12}"
        self._secrets += 1
        return f"{SECRET}{self._secrets}"

    def encrypted(self, *owner: object) -> dict[str, Any]:
        """Return the made-up secret of an owner as settings hold what is encrypted."""
        return {"type": "encryption", "isEncrypted": True, "value": self.secret(*owner)}

    def personal(self, *owner: object) -> str:
        """Return a made-up name for someone, easy to recognise where personal data must not appear."""
        return f"{PERSONAL}{number_for(self.seed, 'personal', *owner) % 10**12}"

    def folder(self, stream: Stream, kind: str) -> str | None:
        """Draw a folder for things of a kind, or none."""
        return stream.pick(self.folders[kind]) if stream.chance(0.5) else None

    def workspace(self) -> dict[str, Any]:
        """Return the workspace as the API shows it."""
        return {
            "uuid": self.workspace_uuid,
            "name": "Marsh & Fils (sandbox)",
            "allowedEmailDomains": ["marsh.example"],
            "syncs": [],
            "temporalNamespace": "sandbox",
            "temporalTaskQueuePrefix": None,
            "maxConcurrentRuns": 50,
            "openAiVectorStoreId": None,
            "createdAt": iso(self.created),
            "updatedAt": iso(self.created + 30 * DAY),
            "logoUrl": None,
            "metadata": {"mainGoal": ["enrichment"], "salesRepCount": "11-50"},
            "chromeExtensionMasterAgentUuid": None,
            "chromeExtensionAvailableAgentUuids": None,
            "defaultRoleUuid": uuid_for(self.seed, "role", "member"),
            "allowedLoginProviders": None,
            "ssoIdentifier": None,
            "quotaBuckets": {"default": 1000},
        }

    def user(self) -> dict[str, Any]:
        """Return the token's user as the API shows them."""
        permissions = [{"effect": "allow", "resources": None, "actions": [f"{group}:*" for group in GROUPS]}]
        return {
            "uuid": self.users[0],
            "email": "ada@marsh.example",
            "firstName": "Ada",
            "lastName": "Marsh",
            "picture": None,
            "lastSignInAt": iso(self.created + 100 * DAY + 7 * HOUR),
            "createdAt": iso(self.created),
            "updatedAt": iso(self.created + 100 * DAY + 7 * HOUR),
            "webExtensionData": {"linkedin": {"li_at": self.secret()}},
            "workspaceUuid": self.workspace_uuid,
            "permissions": permissions,
            "role": {
                "uuid": uuid_for(self.seed, "role", "admin"),
                "workspaceUuid": self.workspace_uuid,
                "slug": "admin",
                "permissions": permissions,
                "createdAt": iso(self.created),
            },
        }
