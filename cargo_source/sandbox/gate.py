"""Who may come in, and how fast: tokens with their permissions, and the rate limit of the workspace."""

from __future__ import annotations

import base64
import hashlib
import hmac
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

GROUPS = (
    "storage", "segmentation", "orchestration", "ai", "workspaceManagement", "connection", "content", "billing",
    "systemOfRecordIntegration",
)  # fmt: skip
"""Groups of permissions; each is the first part of the paths that need it."""
ADMIN = "admin"
"""What a member's token lacks, whatever groups it has."""


def secret(seed: int, purpose: str) -> str:
    """Make a token from the seed."""
    digest = hashlib.sha512(f"{seed}/{purpose}".encode()).digest()
    return base64.urlsafe_b64encode(digest[:48]).decode()


class Tokens:
    """The tokens of a workspace: one that may do all, a member's, and others that lack something."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.full = secret(seed, "token")
        self.control = secret(seed, "control")
        self.member = secret(seed, "member")
        self._lacks: dict[str, frozenset[str]] = {self.full: frozenset(), self.member: frozenset({ADMIN})}

    def without(self, *groups: str) -> str:
        """Give a token that lacks some groups of permissions.

        Raises:
            ValueError: There is no such group.
        """
        unknown = sorted(set(groups) - set(GROUPS))
        if unknown:
            raise ValueError(f"no such group of permissions: {', '.join(unknown)}; there are {', '.join(GROUPS)}")
        token = secret(self._seed, f"without {' '.join(sorted(groups))}")
        self._lacks[token] = frozenset(groups)
        return token

    def lacks(self, authorization: str) -> frozenset[str] | None:
        """Give what the bearer lacks, or None if the token is unknown."""
        return self._lacks.get(_bearer(authorization))

    def knows(self, authorization: str, query: str) -> bool:
        """Tell whether a token comes as hooks carry it: bare behind `Basic`, or in the query."""
        scheme, _, token = authorization.partition(" ")
        return (token.strip() if scheme.lower() == "basic" else query) in self._lacks

    def controls(self, authorization: str) -> bool:
        """Tell whether the bearer may use the control door."""
        return hmac.compare_digest(_bearer(authorization).encode(), self.control.encode())


def _bearer(authorization: str) -> str:
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


class RateLimit:
    """A bucket of tokens that fills with real time; it holds one second's worth."""

    def __init__(
        self, per_second: float | None, retry_after: float | None = None, clock: Callable[[], float] = monotonic
    ) -> None:
        self.per_second = per_second
        self.retry_after = retry_after
        self._clock = clock
        self._left = max(1.0, per_second or 0)
        self._at = clock()

    def allows(self) -> bool:
        """Take one token, if there is one."""
        if self.per_second is None:
            return True
        now = self._clock()
        self._left = min(max(1.0, self.per_second), self._left + (now - self._at) * self.per_second)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
