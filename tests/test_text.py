"""Spelling of text for people: problems of fields, and text from elsewhere on one line."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, Field, ValidationError, field_validator

from charhost.text import FieldProblem, field_path, field_problems, one_line, printable


class Order(BaseModel):
    """A model with a list and a validator of its own."""

    numbers: list[int] = Field(default=[])
    name: str = ""

    @field_validator("name")
    @classmethod
    def _refuse_ada(cls, name: str) -> str:
        if name == "Ada":
            raise ValueError("Ada is taken")
        return name


def problems(**fields: object) -> list[FieldProblem]:
    """Return the problems of an `Order` with *fields*."""
    with pytest.raises(ValidationError) as caught:
        Order.model_validate(fields)
    return list(field_problems(caught.value))


def test_problem_names_the_place_the_kind_and_the_value() -> None:
    """A problem has a path with indexes, pydantic's kind, and the value that was found."""
    (problem,) = problems(numbers=[1, "x"])
    assert (problem.path, problem.kind, problem.found) == ("numbers[1]", "int_parsing", "x")


def test_problem_has_the_text_of_the_validator() -> None:
    """The text of a `ValueError` comes without pydantic's prefix."""
    assert [problem.text for problem in problems(name="Ada")] == ["Ada is taken"]


def test_path_goes_on_from_another() -> None:
    """Steps below a path are added to it."""
    assert field_path(["audio", 0, "format"], "session") == "session.audio[0].format"


@pytest.mark.parametrize(
    ("text", "line"), [("a\nb\r\nc", "a b c"), ("\x1b[2J", r"\x1b[2J"), ("a\u202eb", r"a\u202eb"), (3, "3")]
)
def test_text_is_one_line(text: object, line: str) -> None:
    """Text of unknown origin neither breaks the line, nor sends commands to the terminal, nor turns its direction."""
    assert one_line(text) == line


def test_characters_to_keep_are_kept() -> None:
    """A caller may keep characters that Python does not count as printable."""
    assert printable("Oui\u00a0!\n\x1b", kept="\n\u00a0") == "Oui\u00a0!\n\\x1b"
