"""The content of a data file, as far as it belongs to a fingerprint."""

import hashlib
import os
import stat

# Bytes; a larger file is compared by its size and time.
_MOST_HASHED = 64 << 20

# In place of the digest of a file that is missing, and of one that a character writes.
ABSENT = b"absent"
STATE = b"state"

# Real paths of the data files, and of those that characters write: these are their state, not their source.
_data: set[str] = set()
_written: set[str] = set()


def digest_of(location: str) -> bytes:
    """Return a digest of the content of a file; a file that is missing has a digest, too."""
    if is_state(location):
        return STATE
    try:
        status = os.stat(location)
        if not stat.S_ISREG(status.st_mode):
            return b"special"
        if status.st_size > _MOST_HASHED:
            return f"{status.st_size} {status.st_mtime_ns}".encode()
        with open(location, "rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return ABSENT


def is_state(location: str) -> bool:
    """Return whether a character has written the file: its own file must not make it new."""
    return bool(_written) and os.path.realpath(location) in _written


def note_data(location: str) -> None:
    _data.add(os.path.realpath(location))


def note_written(location: str, *, is_loading: bool) -> None:
    """Note that a character writes a file; outside a load that matters only if it is a data file."""
    if (is_loading or _data) and ((place := os.path.realpath(location)) in _data or is_loading):
        _written.add(place)
