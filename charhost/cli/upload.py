"""Archives of character sets, to be uploaded to a fleet."""

import io
import tarfile
from pathlib import Path

import typer

from charhost.cli.client import Exit
from charhost.cli.client_options import configured
from charhost.cli.output import print_error
from charhost.errors import DirectoryError
from charhost.loading.snapshot import Limits, Snapshot, take_snapshot
from charhost.text import display


def archive_of(directory: Path) -> bytes:
    """Return the `.py` files that a server would read of a directory as an archive, or end the command."""
    try:
        snapshot = take_snapshot(directory.absolute(), Limits.of(configured()))
        for path, error in snapshot.unreadable.items():
            raise DirectoryError(f"{display(path)} cannot be read: {error.strerror}")
        return _packed(snapshot)
    except DirectoryError as e:
        print_error(f"The directory could not be uploaded: {e}")
        raise typer.Exit(Exit.REFUSED) from e


def _packed(snapshot: Snapshot) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(
        fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT, encoding="utf-8", errors="surrogateescape"
    ) as tar:
        for path, file in snapshot.files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(file.data)
            try:
                tar.addfile(entry, io.BytesIO(file.data))
            except ValueError as e:
                raise DirectoryError(f"the path {display(path)} is too long for an archive") from e
    return archive.getvalue()
