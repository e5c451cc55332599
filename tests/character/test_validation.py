"""The attributes that a character file must and may define, and the errors of their values."""

from __future__ import annotations

from typing import Any

import pytest

from charhost.character.character import normal
from charhost.character.static import line_of
from tests.character.helpers import HANDLER, TOOL, character_of, error_of, error_of_line
from tests.conftest import character


def test_small_file_is_a_character() -> None:
    """A file with only the required attributes is a character."""
    ada = character_of(character("Ada", "Be kind."))
    assert (ada.name, ada.file, ada.location) == ("Ada", "ada.py", "/characters/ada.py")
    assert (ada.fingerprint, ada.generation) == ("sha256:1", 3)
    assert ada.voice_source == {"source_type": "file", "path_on_server": "voices/ada.wav"}
    assert ada.prompt_generator(ada.instructions).make_system_prompt() == "Be kind."
    assert (ada.tools, ada.is_good) == ((), True)


@pytest.mark.parametrize("attribute", ["CHARACTER_NAME", "VOICE_SOURCE", "INSTRUCTIONS", "PromptGenerator"])
def test_required_attribute_is_missing(attribute: str) -> None:
    """Each missing required attribute is named."""
    error = error_of(f"{character()}del {attribute}")
    assert str(error).startswith(f"{attribute} is missing: expected ")


@pytest.mark.parametrize("attribute", ["METADATA", "TOOLS"])
def test_optional_attribute_is_missing(attribute: str) -> None:
    """A file without METADATA or TOOLS is a character."""
    ada = character_of(character().replace("METADATA", "_METADATA"))
    assert (ada.metadata, ada.tools, ada.is_good) == ({}, (), False)


@pytest.mark.parametrize("attribute", ["VOICE_SOURCE", "INSTRUCTIONS", "METADATA"])
@pytest.mark.parametrize(
    ("value", "found"), [("[]", "of type list"), ("None", "None"), ("'x'", "'x'"), ("5", "5"), ("dict", "of type type")]
)
def test_value_is_no_dict(attribute: str, value: str, found: str) -> None:
    """A value that is no dict is an error with the value found and the type expected."""
    assert error_of_line(f"{attribute} = {value}") == f"{attribute} is {found}: expected a dict"


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("None", "is None"),
        ("5", "is 5"),
        ("b'Ada'", "is of type bytes"),
        ("['Ada']", "is of type list"),
        ("''", "is empty"),
        ("'  \\t\\n'", "is empty"),
        ("'x' * 201", "has 201 characters"),
        ("'\\ud800'", "holds a lone surrogate"),
    ],
)
def test_invalid_name(value: str, found: str) -> None:
    """A name is a str of 1 to 200 characters that can be encoded."""
    expected = "expected a non-empty str of at most 200 characters"
    assert error_of_line(f"CHARACTER_NAME = {value}") == f"CHARACTER_NAME {found}: {expected}"


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("  Ada\n", "Ada"),
        ("Zoe\u0301", "Zo\u00e9"),
        ("Ada Lovelace", "Ada Lovelace"),
        ("x" * 200, "x" * 200),
        (" " * 300 + "Ada", "Ada"),
        ("🦜", "🦜"),
    ],
)
def test_name_is_normalized(written: str, name: str) -> None:
    """A name is stripped and normalized to NFC, and its length counts after that."""
    assert character_of(f"{character()}CHARACTER_NAME = {written!r}").name == name
    assert normal(written) == name


def test_name_of_a_class_of_its_own_is_plain() -> None:
    """A name of a subclass of str becomes a plain str, without a call of its methods."""
    source = (
        "class Odd(str):\n    def encode(self, *a): 1 / 0\n    def strip(self, *a): 1 / 0\nCHARACTER_NAME = Odd('Eve')"
    )
    assert type(character_of(character() + source).name) is str


@pytest.mark.parametrize(
    ("value", "missing", "kind"),
    [
        ({"source_type": "file"}, "path_on_server", "file"),
        ({"source_type": "file", "path_on_server": None}, "path_on_server", "file"),
        ({"source_type": "freesound", "sound_instance": {}}, "url", "freesound"),
        ({"source_type": "freesound", "url": "https://example.org"}, "sound_instance", "freesound"),
    ],
)
def test_voice_without_a_required_key(value: dict[str, Any], missing: str, kind: str) -> None:
    """A voice from a file needs its path, one from freesound its URL and sound."""
    text = f"VOICE_SOURCE has no '{missing}', which source_type \"{kind}\" needs"
    assert error_of_line(f"VOICE_SOURCE = {value!r}") == text


@pytest.mark.parametrize("value", [{}, {"source_type": "other"}, {"source_type": None}, {"source_type": []}, {"a": 1}])
def test_any_other_voice_is_valid(value: dict[str, Any]) -> None:
    """Any other dict is a valid VOICE_SOURCE."""
    assert character_of(f"{character()}VOICE_SOURCE = {value!r}").voice_source == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"good": "yes"}, "METADATA['good'] is 'yes': expected a bool or None"),
        ({"good": 1}, "METADATA['good'] is 1: expected a bool or None"),
        ({"comment": 5}, "METADATA['comment'] is 5: expected a str or None"),
        ({"comment": ["x"]}, "METADATA['comment'] is of type list: expected a str or None"),
    ],
)
def test_metadata_of_wrong_types(value: dict[str, Any], text: str) -> None:
    """`good` is a bool or None, and `comment` a str or None."""
    assert error_of_line(f"METADATA = {value!r}") == text


@pytest.mark.parametrize(("good", "is_good"), [(True, True), (False, False), (None, False)])
def test_only_true_is_good(good: bool | None, is_good: bool) -> None:
    """Only with `good` set to True is a character good."""
    assert character_of(f"{character()}METADATA = {{'good': {good}}}").is_good is is_good


def test_unknown_metadata_is_kept() -> None:
    """Unknown keys of METADATA are kept."""
    assert character_of(f"{character()}METADATA = {{'mood': ['calm']}}").metadata == {"mood": ["calm"]}


def test_data_is_a_plain_copy() -> None:
    """Data for clients is copied as JSON at the load, so later changes by the file have no effect."""
    source = (
        "from pathlib import Path\nVOICE_SOURCE = {'path': Path('x'), 'n': float('nan')}\nMETADATA = {'tags': ['a']}\n"
    )
    ada = character_of(f"{character()}{source}KEPT = METADATA\n{HANDLER}TOOLS = [{TOOL!r}]\n")
    module_metadata = ada.prompt_generator.make_system_prompt.__globals__["KEPT"]
    module_metadata["tags"].append("b")
    assert (ada.voice_source, ada.metadata) == ({"path": "x", "n": None}, {"tags": ["a"]})


def test_data_that_is_not_json() -> None:
    """Data that cannot be written as JSON is an error of its attribute."""
    assert error_of_line("METADATA = {}; METADATA['self'] = METADATA").startswith(
        "METADATA cannot be written as JSON ("
    )


@pytest.mark.parametrize(
    ("line", "greetings"),
    [
        ("", ()),
        ("GREETING = []", ()),
        ("GREETING = 'Ahoy!'", ("Ahoy!",)),
        ("GREETING = ['Ahoy!', ' Hello. ']", ("Ahoy!", " Hello. ")),
        ("class Odd(str): ...\nGREETING = Odd('Ahoy!')", ("Ahoy!",)),
    ],
)
def test_greeting(line: str, greetings: tuple[str, ...]) -> None:
    """A file may have no greeting, one or several, which are kept unchanged as plain str."""
    ada = character_of(f"{character()}{line}")
    assert (ada.greetings, {*map(type, ada.greetings)} <= {str}) == (greetings, True)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("None", "None"),
        ("5", "5"),
        ("''", "''"),
        ("' \\n'", "' \\n'"),
        ("b'Ahoy!'", "of type bytes"),
        ("['Ahoy!', '']", "of type list"),
        ("['Ahoy!', 5]", "of type list"),
        ("('Ahoy!',)", "of type tuple"),
        ("{'Ahoy!': 1}", "of type dict"),
    ],
)
def test_wrong_greeting(value: str, found: str) -> None:
    """A greeting is a non-empty str or a list of them."""
    text = f"GREETING is {found}: expected a str or a list of str, none of them empty"
    assert error_of_line(f"GREETING = {value}") == text


def test_greeting_that_cannot_be_sent() -> None:
    """A greeting with a lone surrogate is an error at the load."""
    assert error_of_line("GREETING = 'Ahoy \\ud800'").startswith("GREETING cannot be written as JSON (")


def test_greetings_are_a_copy() -> None:
    """Later changes of the file's list do not change the greetings."""
    ada = character_of(f"{character()}GREETING = ['Ahoy!']\n")
    ada.prompt_generator.make_system_prompt.__globals__["GREETING"].append("Arr!")
    assert ada.greetings == ("Ahoy!",)


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("METADATA = 5", 14),
        ("\n\nMETADATA: int = 5", 16),
        ("if True:\n    METADATA = 5", 15),
        ("METADATA = {}\nMETADATA = 5", 15),
        ("OTHER = METADATA = 5", 14),
        ("from math import pi as METADATA", 14),
        ("def METADATA(): ...", 14),
        ("class PromptGenerator(PromptGenerator):\n    X = 1\n    def make_system_prompt(self, a): ...", 16),
        ("class PromptGenerator:\n    def __init__(self, a): ...", 14),
        ("globals()['METADATA'] = 5", 5),
    ],
)
def test_line_of_an_attribute(source: str, line: int) -> None:
    """The line is the last statement that binds the attribute, or the class of a missing method."""
    assert error_of(f"{character()}{source}").line == line


def test_attribute_without_a_statement_has_no_line() -> None:
    """An attribute that no statement binds has no line."""
    assert error_of("").line is None


def test_local_variable_is_not_the_attribute() -> None:
    """A variable of that name inside a function is not the file's attribute."""
    source = "METADATA = 5\n\ndef f():\n    METADATA = 6\n"
    assert line_of(source, "METADATA") == 1


def test_all_mistakes_are_in_one_error() -> None:
    """One error has all mistakes of a file, the line of the first that has one, and the character's name."""
    error = error_of(f"{character('Bob')}del VOICE_SOURCE\nMETADATA = 5\nclass PromptGenerator: ...\nTOOLS = 5")
    where = [text.split(" ")[0] for text in str(error).split("; ")]
    assert where == [
        "VOICE_SOURCE",
        "METADATA",
        "PromptGenerator.__init__",
        "PromptGenerator.make_system_prompt",
        "TOOLS",
    ]
    assert error.character == "Bob"
