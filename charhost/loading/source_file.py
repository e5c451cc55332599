from __future__ import annotations

import dis
import hashlib
import importlib.util
import linecache
import os
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import CodeType
from typing import Any, NamedTuple, overload

from charhost.text import ROOT

_EXTENDED_ARG = dis.opmap["EXTENDED_ARG"]
_IMPORT_NAME = dis.opmap["IMPORT_NAME"]
_LOAD_CONST = dis.opmap["LOAD_CONST"]
_LOAD_SMALL_INT = dis.opmap.get("LOAD_SMALL_INT", -1)  # Python 3.14


class Import(NamedTuple):
    """One statement as the compiler left it: `from ..x import a, b` is `(2, "x", ("a", "b"))`."""

    level: int
    name: str
    names: tuple[str, ...]

    def base(self, package: str) -> str | None:
        """Return the module that *package* imports from, relative to the directory; None for one outside."""
        if self.level == 0:
            return self.name.removeprefix(ROOT).removeprefix(".")
        above = package.split(".") if package else []
        if self.level - 1 > len(above):
            return None
        return ".".join([*above[: len(above) - self.level + 1], *filter(None, [self.name])])


class Opened(set[str]):
    """The paths below the directory of the data files that a file has opened while it was executed."""


# A set that is restored after a restart, and the disk, may hold equal files that are not the same objects.
_opened: weakref.WeakValueDictionary[tuple[str, bytes], Opened] = weakref.WeakValueDictionary()


@dataclass(frozen=True, eq=False)
class SourceFile:
    """The bytes of one `.py` file; its text, code and imports are derived once.

    A file whose content did not change is the same object in the next snapshot, so its code is compiled once. Those
    with the same content at the same location share what they have `opened`.
    """

    path: str
    location: str
    data: bytes
    digest: bytes
    opened: Opened = field(default_factory=Opened, repr=False)
    _fingerprints: dict[bytes, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, path: str, location: str, data: bytes) -> SourceFile:
        digest = hashlib.sha256(data).digest()
        return cls(path, location, data, digest, _opened.setdefault((location, digest), Opened()))

    @cached_property
    def code(self) -> CodeType:
        """Raises the errors of `compile`."""
        return compile(self.data, self.location, "exec", dont_inherit=True)

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        """The imports that may mean files beside this one; none if it does not compile."""
        try:
            return tuple(imports_of(self.code))
        except Exception:  # the import of this file will fail, and say why
            return ()

    @property
    def is_compiled(self) -> bool:
        return "imports" in vars(self)

    @cached_property
    def entry(self) -> bytes:
        """The path and the digest, as parts of digests of several files."""
        return os.fsencode(self.path) + b"\0" + self.digest

    def fingerprint(self, others: bytes) -> str:
        """Digest the file together with *others*, the digest of all it imports."""
        if others not in self._fingerprints:
            self._fingerprints.clear()  # only the last one is used again
            self._fingerprints[others] = f"sha256:{hashlib.sha256(self.entry + others).hexdigest()}"
        return self._fingerprints[others]

    @property
    def text(self) -> str:
        return _decoded(self.data)

    @cached_property
    def lines(self) -> tuple[int, None, Any, str]:
        """An entry of `linecache` for the life of this object; it has no time, so it is not compared with the disk."""
        entry = (len(self.data), None, _Lines(self.data), self.location)
        weakref.finalize(self, _drop_lines, self.location, entry).atexit = False
        return entry


class _Lines(Sequence[str]):
    """The lines of a file, which are only split for the few files that are shown in a traceback."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        return self._split[index]

    def __len__(self) -> int:
        return len(self._split)

    def __eq__(self, other: object) -> bool:
        return self._split == other

    __hash__ = None  # type: ignore[assignment]  # as that of a list

    @cached_property
    def _split(self) -> list[str]:
        return _decoded(self._data).splitlines(keepends=True)


def _decoded(data: bytes) -> str:
    try:
        return importlib.util.decode_source(data)
    except (SyntaxError, UnicodeDecodeError, LookupError):
        return data.decode("utf-8", "replace")


def _drop_lines(location: str, entry: object) -> None:
    if linecache.cache.get(location) is entry:
        linecache.cache.pop(location, None)


def imports_of(code: CodeType) -> Iterator[Import]:
    """Yield the imports of `characters` and the relative ones, also those inside functions and classes."""
    raw = code.co_code
    if _IMPORT_NAME in raw[::2]:
        yield from _statements(code, raw)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from imports_of(constant)


def _statements(code: CodeType, raw: bytes) -> Iterator[Import]:
    # The compiler pushes the level and the names right before IMPORT_NAME. `dis.get_instructions` would say the same
    # and take fifty times as long.
    pushed: deque[Any] = deque(maxlen=2)
    extended = 0
    for opcode, operand in zip(raw[::2], raw[1::2], strict=True):
        operand |= extended << 8
        extended = operand if opcode == _EXTENDED_ARG else 0
        if opcode == _LOAD_CONST:
            pushed.append(code.co_consts[operand])
        elif opcode == _LOAD_SMALL_INT:
            pushed.append(operand)
        elif opcode == _IMPORT_NAME:
            name, (level, names) = code.co_names[operand], pushed
            if level or name == ROOT or name.startswith(f"{ROOT}."):
                yield Import(level, name, names or ())
