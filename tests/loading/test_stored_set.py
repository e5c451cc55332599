"""A character set as bytes."""

from __future__ import annotations

import pytest

from charhost.character.character import CharacterSet
from charhost.loading.stored_set import StoredSet
from charhost.reload.manager import CharacterManager
from tests.conftest import character
from tests.reload.helpers import Write


@pytest.mark.parametrize("name", ["my.char.py", "gr\u00fc\u00dfe.py", b"caf\xe9.py".decode("utf-8", "surrogateescape")])
async def test_a_file_is_known_by_its_name_on_the_disk(manager: CharacterManager, write: Write, name: str) -> None:
    """A member of a stored set is found in its snapshot also by a name that cannot be printed."""
    write(name, character("Odd"))
    await manager.reload_characters()
    (odd,) = [m for m in StoredSet.of(manager.current).members if m.path == name]
    assert odd.path in odd.snapshot.files


def test_a_stored_set_without_characters_is_empty() -> None:
    """A set without characters has no members."""
    assert StoredSet.of(CharacterSet("/characters")).members == ()
