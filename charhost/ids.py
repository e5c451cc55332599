"""Random ids that cannot be guessed."""

import os
import re


def new_id(prefix: str) -> str:
    """Return a new id, such as `item_5f0c2ab1d3e94c7709a1b2c3d4e5f607`."""
    return f"{prefix}_{os.urandom(16).hex()}"


def is_id(text: str, prefix: str) -> bool:
    """Return whether `new_id` may have made an id."""
    return re.fullmatch(f"{prefix}_[0-9a-f]{{32}}", text) is not None
