"""A state file, and what is written to it and read of it."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from charhost.conversation.items import Item
from charhost.loading.module_space import Member
from charhost.loading.snapshot import Snapshot
from charhost.loading.source_file import SourceFile
from charhost.loading.stored_set import StoredSet
from charhost.resume.saved_session import SavedSession
from charhost.storage.state_file import StateFile


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[StateFile]:
    """The state file while a server has it."""
    file = StateFile(path)
    await file.open()
    try:
        yield file
    finally:
        await file.close()


def asked(path: Path, query: str) -> list[Any]:
    """Return the rows of a query, while no server has the file."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def snapshot(files: dict[str, str], directory: str = "/srv/characters", taken: int = 1) -> Snapshot:
    """A directory with these files."""
    return Snapshot(
        Path(directory),
        {name: SourceFile.of(name, f"{directory}/{name}", text.encode()) for name, text in sorted(files.items())},
        taken=taken,
    )


def stored_set(generation: int, files: dict[str, str], directory: str = "/srv/characters") -> StoredSet:
    """A set whose characters all come from one snapshot."""
    taken = snapshot(files, directory, generation)
    members = tuple(Member(taken, name, f"sha256:{number}") for number, name in enumerate(sorted(files)))
    return StoredSet(generation, directory, f"sha256:{generation}", members, taken.disk_revision)


def essentials(stored: StoredSet | None) -> Any:
    """All that matters of a set."""
    assert stored is not None
    members = [
        (member.path, member.fingerprint, member.snapshot.directory, member.snapshot.taken, contents(member.snapshot))
        for member in stored.members
    ]
    return stored.generation, stored.directory, stored.revision, stored.disk, members


def contents(taken: Snapshot) -> list[tuple[str, str, bytes, bytes]]:
    """The files of a snapshot."""
    return [(path, file.location, file.data, file.digest) for path, file in taken.files.items()]


def saved(*items: Item, session: str = "sess_1", **fields: Any) -> SavedSession:
    """A conversation with Ada."""
    return replace(SavedSession(session, "Ada", "me", "ga", {"voice": "x"}, "conv_1", items), **fields)


async def found(path: Path, session: str = "sess_1") -> SavedSession | None:
    """Return what another process reads from the file."""
    async with opened(path) as file:
        return await file.conversations.find(session)


def connection(file: StateFile) -> Any:
    """Return the connection of the file."""
    return file._database._connection
