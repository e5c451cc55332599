"""The constructor and the methods of `PromptGenerator`, by the arguments that they take."""

from __future__ import annotations

import pytest

from tests.character.helpers import TOOL, character_of, error_of, error_of_line
from tests.conftest import character


def generator(body: str, head: str = "class PromptGenerator:") -> str:
    return character() + f"{head}\n" + "".join(f"    {line}\n" for line in body.splitlines())


PROMPT = "def make_system_prompt(self): ..."
INIT = "def __init__(self, instructions): ..."


@pytest.mark.parametrize("value", ["None", "5", "lambda instructions: None", "object()", "'PromptGenerator'"])
def test_generator_is_no_class(value: str) -> None:
    """A PromptGenerator that is no class is an error."""
    text = error_of_line(f"PromptGenerator = {value}")
    assert text.startswith("PromptGenerator is ")
    assert text.endswith(": expected a class")


@pytest.mark.parametrize(
    "init",
    [
        "",
        "def __init__(self): ...",
        "def __init__(self, a, b): ...",
        "def __init__(self, *, instructions): ...",
        "def __init__(self, a, *, b): ...",
        "def __new__(cls): ...",
        "def __new__(cls): ...\ndef __init__(self, i): ...",
        "__init__ = None",
    ],
)
def test_constructor_is_invalid(init: str) -> None:
    """A class that cannot be called with the instructions is an error, found without calling it."""
    text = "PromptGenerator.__init__ cannot be called with one argument: expected __init__(self, instructions)"
    assert str(error_of(generator(f"{init}\n{PROMPT}"))) == text


@pytest.mark.parametrize(
    "init",
    [
        "def __init__(self, i): raise SystemExit",
        "def __init__(self, i, b=1): ...",
        "def __init__(self, *a): ...",
        "def __init__(self, i=None, **k): ...",
        "def __init__(self, i, *, b=1): ...",
        "def __new__(cls, i): return object.__new__(cls)",
    ],
)
def test_constructor_is_valid(init: str) -> None:
    """Any class that can be called with one argument is valid, and is not called at the load."""
    assert character_of(generator(f"{init}\n{PROMPT}")).prompt_generator.__name__ == "PromptGenerator"


@pytest.mark.parametrize(
    "head",
    [
        "from dataclasses import dataclass\n@dataclass\nclass PromptGenerator:",
        "from typing import NamedTuple\nclass PromptGenerator(NamedTuple):",
    ],
)
def test_generator_can_be_a_dataclass(head: str) -> None:
    """Constructors made by a decorator or a base class are recognised."""
    assert character_of(generator(f"instructions: dict\n{PROMPT}", head))


def test_generator_of_a_metaclass_that_takes_nothing() -> None:
    """A class whose metaclass takes no argument cannot be called with the instructions."""
    head = "class Meta(type):\n    def __call__(cls): ...\nclass PromptGenerator(metaclass=Meta):"
    assert "cannot be called with one argument" in str(error_of(generator(f"{INIT}\n{PROMPT}", head)))


def test_prompt_is_missing() -> None:
    """A class without `make_system_prompt` is an error with the line of the class."""
    error = error_of(generator(INIT))
    assert str(error) == "PromptGenerator.make_system_prompt is missing: expected make_system_prompt(self) -> str"
    assert error.line == 14


@pytest.mark.parametrize(
    "method",
    [
        "def make_system_prompt(self, mood): ...",
        "def make_system_prompt(): ...",
        "def make_system_prompt(self, *, mood): ...",
        "async def make_system_prompt(self, mood): ...",
        "@staticmethod\ndef make_system_prompt(self): ...",
        "@classmethod\ndef make_system_prompt(cls, mood): ...",
        "@property\ndef make_system_prompt(self): return 'x'",
        "make_system_prompt = None",
        "make_system_prompt = 'Be kind.'",
    ],
)
def test_prompt_method_is_invalid(method: str) -> None:
    """A `make_system_prompt` that cannot be called without arguments is an error."""
    text = (
        "PromptGenerator.make_system_prompt cannot be called without arguments: expected make_system_prompt(self) -> "
    )
    assert str(error_of(generator(f"{INIT}\n{method}"))) == f"{text}str"


@pytest.mark.parametrize(
    "method",
    [
        "async def make_system_prompt(self): ...",
        "def make_system_prompt(self, mood='calm'): ...",
        "def make_system_prompt(*a, **k): ...",
        "@staticmethod\ndef make_system_prompt(): ...",
        "@classmethod\ndef make_system_prompt(cls): ...",
        "import functools\n@functools.lru_cache\ndef make_system_prompt(self): ...",
        "import functools\ndef _p(self, mood): ...\nmake_system_prompt = functools.partialmethod(_p, 'calm')",
        "make_system_prompt = lambda self: 'x'",
    ],
)
def test_prompt_method_is_valid(method: str) -> None:
    """Any `make_system_prompt` that can be called on an instance without arguments is valid."""
    assert character_of(generator(f"{INIT}\n{method}"))


def test_methods_may_be_inherited() -> None:
    """A PromptGenerator may have its methods from a base class."""
    assert character_of(f"{character()}class PromptGenerator(PromptGenerator): ...\n")


@pytest.mark.parametrize(("arguments", "fits"), [("self", True), ("self, mood", False)])
def test_decorated_method_has_the_wrapped_signature(arguments: str, fits: bool) -> None:
    """A decorator with `functools.wraps` does not hide a missing argument."""
    wrap = "import functools\ndef loud(f): return functools.wraps(f)(lambda *a: f(*a))\n"
    source = wrap + generator(f"{INIT}\n@loud\ndef make_system_prompt({arguments}): ...")
    if fits:
        assert character_of(source)
    else:
        assert "make_system_prompt cannot be called without arguments" in str(error_of(source))


@pytest.mark.parametrize("arguments", ["self", "self, name", "self, a, b, c"])
def test_handler_takes_two_arguments(arguments: str) -> None:
    """A handler that cannot be called with the name and the input is an error."""
    source = f"{INIT}\n{PROMPT}\ndef handle_tool_call({arguments}): ..."
    error = error_of(f"{generator(source)}TOOLS = [{TOOL!r}]")
    assert str(error).startswith("PromptGenerator.handle_tool_call cannot be called with 2 arguments: ")
