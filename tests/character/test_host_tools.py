"""The names in HOST_TOOLS, and their errors."""

from __future__ import annotations

import pytest

from tests.character.helpers import HANDLER, TOOL, character_of, error_of, error_of_line
from tests.conftest import character

KNOWN = "reload_characters, list_characters"


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("", ()),
        ("HOST_TOOLS = []", ()),
        ("HOST_TOOLS = ['list_characters']", ("list_characters",)),
        ("HOST_TOOLS = ['reload_characters', 'list_characters']", ("reload_characters", "list_characters")),
    ],
)
def test_tools_of_the_host(line: str, names: tuple[str, ...]) -> None:
    """HOST_TOOLS lists the host's tools that a character has."""
    assert character_of(f"{character()}{line}").host_tools == names


@pytest.mark.parametrize(
    ("value", "found"),
    [("None", "None"), ("'reload_characters'", "'reload_characters'"), ("('list_characters',)", "of type tuple")],
)
def test_tools_of_the_host_are_no_list(value: str, found: str) -> None:
    """HOST_TOOLS that are no list are an error with the value found and the type expected."""
    text = f"HOST_TOOLS is {found}: expected a list of distinct names out of {KNOWN}"
    assert error_of_line(f"HOST_TOOLS = {value}") == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("['list_characters', 'shutdown']", f"[1] is 'shutdown': expected one of {KNOWN}"),
        ("[5]", f"[0] is 5: expected one of {KNOWN}"),
        ("[['list_characters']]", f"[0] is of type list: expected one of {KNOWN}"),
        ("[type('Odd', (str,), {})('list_characters')]", f"[0] is of type Odd: expected one of {KNOWN}"),
        ("['list_characters'] * 2", "[1] is 'list_characters' once more: expected each name once"),
    ],
)
def test_name_that_is_no_tool_of_the_host(value: str, text: str) -> None:
    """An unknown or repeated name in HOST_TOOLS is an error with its place."""
    assert error_of_line(f"HOST_TOOLS = {value}") == f"HOST_TOOLS{text}"


def test_tool_of_the_file_is_called_like_one_of_the_host() -> None:
    """A name in both TOOLS and HOST_TOOLS is an error; in TOOLS alone it is valid."""
    own = f"{character()}{HANDLER}TOOLS = [{TOOL}]\n".replace("'roll'", "'list_characters'")
    assert character_of(own).tools[0]["function"]["name"] == "list_characters"
    error = error_of(f"{own}HOST_TOOLS = ['list_characters']")
    assert str(error) == "HOST_TOOLS[0] is 'list_characters', which TOOLS has too: expected another name there"
    assert error.line == own.count("\n") + 1


@pytest.mark.parametrize("tools", ["[5]", "[{'function': 5}]", "[{'type': 'function', 'function': {'name': []}}]"])
def test_tools_of_the_host_beside_broken_ones(tools: str) -> None:
    """Errors in TOOLS cause no errors in HOST_TOOLS."""
    assert "HOST_TOOLS" not in str(error_of(f"{character()}{HANDLER}TOOLS = {tools}\nHOST_TOOLS = ['list_characters']"))
