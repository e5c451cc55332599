"""One `.py` file: its bytes, text and code."""

from __future__ import annotations

import hashlib
import importlib.util
import linecache
import os
import weakref
from dataclasses import dataclass, field
from functools import cached_property
from types import CodeType

from charhost.loading.imports import Import, imports_of


@dataclass(frozen=True, eq=False)
class SourceFile:
    """The bytes of one `.py` file; its text and code are derived once.

    A file whose content did not change is the same object in the next snapshot, so its code is compiled once.
    """

    path: str
    location: str
    data: bytes
    digest: bytes
    _fingerprints: dict[bytes, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, path: str, location: str, data: bytes) -> SourceFile:
        """Make the file at *path* below the directory, which is at *location*."""
        return cls(path, location, data, hashlib.sha256(data).digest())

    @cached_property
    def code(self) -> CodeType:
        """The compiled file; raises the errors of `compile`."""
        return compile(self.data, self.location, "exec", dont_inherit=True)

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        """The imports that may mean files beside this one; none if it does not compile."""
        try:
            return tuple(imports_of(self.code))
        except Exception:  # the import of this file will fail, and say why
            return ()

    def fingerprint(self, others: bytes) -> str:
        """Digest the file together with *others*, the digest of all it imports."""
        known = self._fingerprints.get(others)
        if known is None:
            entry = os.fsencode(self.path) + b"\0" + self.digest
            known = f"sha256:{hashlib.sha256(entry + others).hexdigest()}"
            self._fingerprints.clear()  # only the last one is asked for again
            self._fingerprints[others] = known
        return known

    @cached_property
    def text(self) -> str:
        """The source as `inspect.getsource` shows it."""
        try:
            return importlib.util.decode_source(self.data)
        except (SyntaxError, UnicodeDecodeError, LookupError):
            return self.data.decode("utf-8", "replace")

    @cached_property
    def lines(self) -> tuple[int, None, list[str], str]:
        """The source as an entry of `linecache`, where it stays as long as this object lives, unless replaced.

        The entry has no time, so `linecache` never compares it with the disk.
        """
        entry = (len(self.data), None, self.text.splitlines(keepends=True), self.location)
        weakref.finalize(self, _drop_lines, self.location, entry).atexit = False
        return entry


def _drop_lines(location: str, entry: object) -> None:
    if linecache.cache.get(location) is entry:
        linecache.cache.pop(location, None)
