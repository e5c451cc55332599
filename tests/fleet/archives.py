"""Tar archives, also such as no program writes."""

from __future__ import annotations

import io
import tarfile
from typing import Any

from tests.conftest import character

ADA = character("Ada").encode()


def entry(name: str, data: bytes = ADA, **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    """Return one entry, with other *fields* of its header than those of a file."""
    found = tarfile.TarInfo(name)
    found.size = len(data)
    for field, value in fields.items():
        setattr(found, field, value)
    return found, data


def archive(*entries: tuple[tarfile.TarInfo, bytes], kind: int = tarfile.USTAR_FORMAT) -> bytes:
    """Return an archive of these entries."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=kind) as tar:
        for header, data in entries:
            tar.addfile(header, io.BytesIO(data))
    return file.getvalue()


def of_files(**files: str) -> bytes:
    """Return an archive of files by their names without `.py`."""
    return archive(*(entry(f"{name}.py", text.encode()) for name, text in files.items()))
