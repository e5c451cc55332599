"""The users of real nats-servers, and servers that have them."""

from __future__ import annotations

import json

from charhost.fleet.engine.streams import Streams
from scripts.benchmarks.fleet.nats_server import NatsServer

__all__ = ["FLEET", "NODE", "NatsServer", "users"]

# The fleet whose node has no more than the grants of `fleet setup`; all others are used without a name.
FLEET = "granted"
NODE = "node"


def users() -> str:
    """Return the users of a server: an administrator without a password, and a node."""
    node = {"user": NODE, "password": NODE, "permissions": Streams(FLEET).grants()}
    everybody = [{"user": "admin", "password": "admin"}, node]
    return f"authorization {{ users = {json.dumps(everybody)} }}\nno_auth_user: admin\n"
