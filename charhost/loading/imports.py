"""The import statements in compiled code that may mean files of the same directory."""

from __future__ import annotations

import dis
from collections import deque
from collections.abc import Iterator
from types import CodeType
from typing import Any, NamedTuple

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
        """Return the module that *package* imports from, relative to the directory.

        None when that is outside: another top-level package, or beyond the top of this one.
        """
        if self.level == 0:
            return self.name.removeprefix(ROOT).removeprefix(".")
        above = package.split(".") if package else []
        if self.level - 1 > len(above):
            return None
        return ".".join([*above[: len(above) - self.level + 1], *filter(None, [self.name])])


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
