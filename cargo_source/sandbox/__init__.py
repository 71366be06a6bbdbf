"""A local Cargo workspace behind a real HTTP port, so that everything runs with no account.

It is a witness and no mirror: it imports nothing of the connector, so it cannot repeat the connector's mistakes.
"""

from cargo_source.sandbox.faults import Fault, FaultError
from cargo_source.sandbox.server import Sandbox, serve

__all__ = ["Fault", "FaultError", "Sandbox", "serve"]
