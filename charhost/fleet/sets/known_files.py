"""The files and snapshots that a node holds."""

import os
from collections.abc import Collection, Mapping

from charhost.loading.snapshot import Snapshot
from charhost.loading.source_file import SourceFile


class KnownFiles:
    """The files and snapshots that this node holds: an unchanged file stays the same object, with its code."""

    def __init__(self, snapshots: Collection[Snapshot] = ()) -> None:
        self._snapshots = {(str(one.directory), one.disk_revision): one for one in snapshots}
        files = set[SourceFile]().union(*(one.files.values() for one in snapshots))  # most are in all of them
        self._files = {(file.location, file.digest): file for file in files}
        self._contents = {file.digest: file.data for file in files}

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
