"""The statements of a file that bind a name, read without running the file."""

from __future__ import annotations

import pytest

from charhost.character.static import line_of, strings_of

ADA = {
    "assignment": "NAME = 'Ada'",
    "annotated": "NAME: str = 'Ada'",
    "chained": "X = NAME = 'Ada'",
    "tuple": "X, (NAME, Y) = 1, ('Ada', 2)",
    "walrus": "print(NAME := 'Ada')",
    "if": "if X:\n    NAME = 'Ada'",
    "elif": "if X:\n    pass\nelif Y:\n    NAME = 'Ada'",
    "else": "if X:\n    NAME = f()\nelse:\n    NAME = 'Ada'",
    "try": "try:\n    NAME = 'Ada'\nexcept ImportError:\n    pass",
    "except": "try:\n    import x\nexcept ImportError:\n    NAME = 'Ada'",
    "except*": "try:\n    import x\nexcept* ImportError:\n    NAME = 'Ada'",
    "try else": "try:\n    import x\nexcept ImportError:\n    pass\nelse:\n    NAME = 'Ada'",
    "finally": "try:\n    import x\nfinally:\n    NAME = 'Ada'",
    "with": "with open('x') as file:\n    NAME = 'Ada'",
    "match": "match X:\n    case 1:\n        NAME = 'Ada'",
    "for": "for X in Y:\n    NAME = 'Ada'",
    "while": "while X:\n    NAME = 'Ada'",
    "blocks in blocks": "if X:\n    with Y:\n        NAME = 'Ada'",
    "loop over literals": "for NAME in ['Ada']: pass",
    "loop over pairs": "for X, NAME in ((1, 'Ada'),): pass",
    "concatenation": "NAME = 'A' + 'd' + 'a'",
    "addition": "NAME = 'A'\nNAME += 'da'",
    "other name": "X = 'Ada'\nNAME = X",
    "f-string": "X = 'da'\nNAME = f'A{X}'",
    "walrus in an expression": "NAME = (X := 'Ada')",
    "before a block that may be skipped": "NAME = 'Ada'\nif X:\n    NAME = f()",
    "before an annotation without a value": "NAME = 'Ada'\nNAME: str",
}

COMPUTED = {
    "call": "NAME = f()",
    "starred": "NAME, *X = 'Ada', 1",
    "unpacked": "X, NAME = f()",
    "number": "NAME = 1",
    "loop": "for NAME in X: pass",
    "with": "with X as NAME: pass",
    "pattern": "match X:\n    case [NAME]: pass",
    "import": "import x as NAME",
    "function": "def NAME(): pass",
    "loop over calls": "for NAME in [f()]: pass",
    "f-string with a format": "X = 'Ada'\nNAME = f'{X:>9}'",
    "too many": "X = 'a' if Y else 'b'\n" + "X = X + X\n" * 9 + "NAME = X",
    "too long": "X = 'a'\n" + "X = X + X\n" * 60 + "NAME = X",
    "replaced": "NAME = 'Ada'\nNAME = f()",
}

ELSEWHERE = {
    "function": "def f():\n    NAME = 'Ada'",
    "class": "class X:\n    NAME = 'Ada'",
    "attribute": "X.NAME = 'Ada'",
    "lambda": "X = lambda: (NAME := 'Ada')",
    "keyword": "f(NAME='Ada')",
}


@pytest.mark.parametrize(
    ("source", "strings", "has_line"),
    [
        *[pytest.param(source, frozenset({"Ada"}), True, id=f"string: {place}") for place, source in ADA.items()],
        *[pytest.param(source, frozenset(), True, id=f"computed: {kind}") for kind, source in COMPUTED.items()],
        *[pytest.param(source, frozenset(), False, id=f"other scope: {scope}") for scope, source in ELSEWHERE.items()],
    ],
)
def test_statements_that_bind_a_name(source: str, strings: frozenset[str], has_line: bool) -> None:
    """A string has a value and a line, a computed value only a line, and a name of another scope neither."""
    assert (strings_of(source, "NAME"), line_of(source, "NAME") is not None) == (strings, has_line)


def test_branches_add_up() -> None:
    """The strings of all branches are returned."""
    assert strings_of("if X:\n    NAME = 'Ada'\nelse:\n    NAME = 'Bob'", "NAME") == {"Ada", "Bob"}


@pytest.mark.parametrize("value", ["'Ada' if X else 'Bob'", "'Ada' or 'Bob'", "f() or 'Ada' or 'Bob'"])
def test_alternatives_add_up(value: str) -> None:
    """The strings of all alternatives of an expression are returned."""
    assert strings_of(f"NAME = {value}", "NAME") == {"Ada", "Bob"}


@pytest.mark.parametrize(
    ("name", "line"), [("X", 2), ("X.a", 3), ("X.b", 5), ("X.c", 2), ("y", 6), ("z", 6)], ids=lambda value: str(value)
)
def test_line_of_a_method(name: str, line: int) -> None:
    """A method is found in its class, also in a block; a missing one has the line of the class."""
    source = "\nclass X:\n    def a(self): pass\n    if 1:\n        def b(self): pass\ny, z = 1, 2"
    assert line_of(source, name) == line


def test_long_expression_is_read() -> None:
    """An expression that nests deeper than the recursion limit is read."""
    assert line_of(f"X = {'+'.join('1' * 2000)}\nNAME = 1", "NAME") == 2
