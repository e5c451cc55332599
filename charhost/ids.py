"""Random ids that cannot be guessed."""

import secrets


def new_id(prefix: str) -> str:
    """Return a new id, such as `item_5f0c2ab1d3e94c7709a1b2c3d4e5f607`."""
    return f"{prefix}_{secrets.token_hex(16)}"
