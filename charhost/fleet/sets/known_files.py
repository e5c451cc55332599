"""The files and snapshots that a node holds."""

import os
from collections.abc import Iterable, Mapping

from charhost.loading.snapshot import Snapshot
from charhost.loading.source_file import SourceFile
from charhost.loading.stored_set import StoredSet


class KnownFiles:
    """The files and snapshots that this node holds: an unchanged file stays the same object, with its code."""

    def __init__(self, sets: Iterable[StoredSet] = ()) -> None:
        self._files: dict[tuple[str, bytes], SourceFile] = {}
        self._contents: dict[bytes, bytes] = {}
        self._snapshots: dict[tuple[str, str], Snapshot] = {}
        for snapshot in {snapshot for stored in sets for snapshot in stored.paths}:
            self._snapshots[str(snapshot.directory), snapshot.disk_revision] = snapshot
            for file in snapshot.files.values():
                self._files[file.location, file.digest] = file
                self._contents[file.digest] = file.data

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._contents

    def file(self, directory: str, path: str, digest: bytes, new: Mapping[bytes, bytes]) -> SourceFile:
        """Return a file, whose content this node has or is *new*."""
        location = os.path.join(directory, path)
        found = self._files.get((location, digest))
        if found is None:
            found = SourceFile.of(path, location, self._contents[digest] if digest in self._contents else new[digest])
            self._files[location, digest] = found
        return found

    def moved(self, directory: str, file: SourceFile) -> SourceFile:
        """Return a file as the same one of another directory."""
        return self.file(directory, file.path, file.digest, {file.digest: file.data})

    def snapshot(self, read: Snapshot) -> Snapshot:
        """Return the equal snapshot that this node holds, or the one that was *read*."""
        return self._snapshots.setdefault((str(read.directory), read.disk_revision), read)
