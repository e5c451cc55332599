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
    "before a block that may be skipped": "NAME = 'Ada'\nif X:\n    NAME = f()",
    "before an annotation without a value": "NAME = 'Ada'\nNAME: str",
}


@pytest.mark.parametrize("source", ADA.values(), ids=ADA)
def test_both_readers_see_a_statement(source: str) -> None:
    """The line of a name and its string come from the same statements, also from those in blocks."""
    assert strings_of(source, "NAME") == {"Ada"}
    assert line_of(source, "NAME") is not None


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
    "replaced": "NAME = 'Ada'\nNAME = f()",
}


@pytest.mark.parametrize("source", COMPUTED.values(), ids=COMPUTED)
def test_computed_value_has_a_line_only(source: str) -> None:
    """A name whose value takes running the file has a line and no string."""
    assert (strings_of(source, "NAME"), line_of(source, "NAME") is not None) == (frozenset(), True)


ELSEWHERE = {
    "function": "def f():\n    NAME = 'Ada'",
    "class": "class X:\n    NAME = 'Ada'",
    "attribute": "X.NAME = 'Ada'",
    "lambda": "X = lambda: (NAME := 'Ada')",
    "keyword": "f(NAME='Ada')",
}


@pytest.mark.parametrize("source", ELSEWHERE.values(), ids=ELSEWHERE)
def test_other_scopes_bind_other_names(source: str) -> None:
    """A name in a function, a class or an object is not one of the module."""
    assert (strings_of(source, "NAME"), line_of(source, "NAME")) == (frozenset(), None)


def test_branches_add_up() -> None:
    """Each branch may be the one that runs."""
    assert strings_of("if X:\n    NAME = 'Ada'\nelse:\n    NAME = 'Bob'", "NAME") == {"Ada", "Bob"}


@pytest.mark.parametrize(
    ("name", "line"), [("X", 2), ("X.a", 3), ("X.b", 5), ("X.c", 2), ("y", 6), ("z", 6)], ids=lambda value: str(value)
)
def test_line_of_a_method(name: str, line: int) -> None:
    """A method is found in its class, also in a block; one that is absent has the line of the class."""
    source = "\nclass X:\n    def a(self): pass\n    if 1:\n        def b(self): pass\ny, z = 1, 2"
    assert line_of(source, name) == line


def test_long_expression_is_read() -> None:
    """An expression that nests deeper than Python's calls is no obstacle."""
    assert line_of(f"X = {'+'.join('1' * 2000)}\nNAME = 1", "NAME") == 2
