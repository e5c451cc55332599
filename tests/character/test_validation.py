"""What a character file must define, and what its author is told."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from charhost.character.character import Character, LoadedModules, normal
from charhost.character.static import line_of
from charhost.character.validation import character_in
from charhost.errors import ValidationError
from tests.conftest import character

TOOL = {"type": "function", "function": {"name": "roll", "parameters": {"type": "object", "properties": {}}}}
HANDLER = "class PromptGenerator(PromptGenerator):\n    def handle_tool_call(self, tool_name, tool_input): ...\n"


def made(source: str) -> Character:
    """The character that a file with that source defines."""
    module = ModuleType("ada")
    exec(compile(source, "ada.py", "exec", dont_inherit=True), vars(module))
    return character_in(
        module,
        lambda: source,
        file="ada.py",
        location="/characters/ada.py",
        fingerprint="sha256:1",
        generation=3,
        modules=LoadedModules(),
    )


def wrong(source: str) -> ValidationError:
    """What is said about a file with that source."""
    with pytest.raises(ValidationError) as caught:
        made(source)
    return caught.value


def wrong_line(line: str) -> str:
    """What is said about a file that loads, but for one line at its end."""
    error = wrong(f"{character()}{line}")
    assert error.line == character().count("\n") + 1
    return str(error)


def test_small_file_is_a_character() -> None:
    """A file with what is required, and no more, is a character."""
    ada = made(character("Ada", "Be kind."))
    assert (ada.name, ada.file, ada.location) == ("Ada", "ada.py", "/characters/ada.py")
    assert (ada.fingerprint, ada.generation) == ("sha256:1", 3)
    assert ada.voice_source == {"source_type": "file", "path_on_server": "voices/ada.wav"}
    assert ada.prompt_generator(ada.instructions).make_system_prompt() == "Be kind."
    assert (ada.tools, ada.is_good) == ((), True)


@pytest.mark.parametrize("attribute", ["CHARACTER_NAME", "VOICE_SOURCE", "INSTRUCTIONS", "PromptGenerator"])
def test_required_attribute_is_missing(attribute: str) -> None:
    """Each required attribute that is missing is named."""
    error = wrong(f"{character()}del {attribute}")
    assert str(error).startswith(f"{attribute} is missing: expected ")


@pytest.mark.parametrize("attribute", ["METADATA", "TOOLS"])
def test_optional_attribute_is_missing(attribute: str) -> None:
    """A file without METADATA or TOOLS is a character."""
    ada = made(character().replace("METADATA", "_METADATA"))
    assert (ada.metadata, ada.tools, ada.is_good) == ({}, (), False)


@pytest.mark.parametrize("attribute", ["VOICE_SOURCE", "INSTRUCTIONS", "METADATA"])
@pytest.mark.parametrize(
    ("value", "found"), [("[]", "of type list"), ("None", "None"), ("'x'", "'x'"), ("5", "5"), ("dict", "of type type")]
)
def test_dictionary_is_none(attribute: str, value: str, found: str) -> None:
    """What should be a dict and is not is told with what was found and what was expected."""
    assert wrong_line(f"{attribute} = {value}") == f"{attribute} is {found}: expected a dict"


# CHARACTER_NAME


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
def test_name_is_none(value: str, found: str) -> None:
    """A name is a text of 1 to 200 characters that can be sent."""
    expected = "expected a non-empty str of at most 200 characters"
    assert wrong_line(f"CHARACTER_NAME = {value}") == f"CHARACTER_NAME {found}: {expected}"


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
def test_name_is_brought_into_one_form(written: str, name: str) -> None:
    """A name is stripped and in NFC; what counts is its length after that."""
    assert made(f"{character()}CHARACTER_NAME = {written!r}").name == name
    assert normal(written) == name


def test_name_of_a_class_of_its_own_is_plain() -> None:
    """A name is kept as a plain str, whatever class the file gave it."""
    source = (
        "class Odd(str):\n    def encode(self, *a): 1 / 0\n    def strip(self, *a): 1 / 0\nCHARACTER_NAME = Odd('Eve')"
    )
    assert type(made(character() + source).name) is str


# VOICE_SOURCE and METADATA


@pytest.mark.parametrize(
    ("value", "missing", "kind"),
    [
        ({"source_type": "file"}, "path_on_server", "file"),
        ({"source_type": "file", "path_on_server": None}, "path_on_server", "file"),
        ({"source_type": "freesound", "sound_instance": {}}, "url", "freesound"),
        ({"source_type": "freesound", "url": "https://example.org"}, "sound_instance", "freesound"),
    ],
)
def test_voice_lacks_what_its_type_needs(value: dict[str, Any], missing: str, kind: str) -> None:
    """A voice from a file needs its path, one from freesound its address and sound."""
    text = f"VOICE_SOURCE has no '{missing}', which source_type \"{kind}\" needs"
    assert wrong_line(f"VOICE_SOURCE = {value!r}") == text


@pytest.mark.parametrize("value", [{}, {"source_type": "other"}, {"source_type": None}, {"source_type": []}, {"a": 1}])
def test_any_other_voice_will_do(value: dict[str, Any]) -> None:
    """A VOICE_SOURCE may be any dict otherwise."""
    assert made(f"{character()}VOICE_SOURCE = {value!r}").voice_source == value


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
    """The two keys that have a meaning have a type."""
    assert wrong_line(f"METADATA = {value!r}") == text


@pytest.mark.parametrize(("good", "is_good"), [(True, True), (False, False), (None, False)])
def test_good_is_what_the_author_says(good: bool | None, is_good: bool) -> None:
    """Only `True` lists a character among the voices."""
    assert made(f"{character()}METADATA = {{'good': {good}}}").is_good is is_good


def test_unknown_metadata_is_kept() -> None:
    """Keys that charhost does not know are the author's own."""
    assert made(f"{character()}METADATA = {{'mood': ['calm']}}").metadata == {"mood": ["calm"]}


def test_data_is_a_plain_copy() -> None:
    """What is sent to clients was copied at the load, as JSON has it, so no later change of the file's own shows."""
    source = (
        "from pathlib import Path\nVOICE_SOURCE = {'path': Path('x'), 'n': float('nan')}\nMETADATA = {'tags': ['a']}\n"
    )
    ada = made(f"{character()}{source}KEPT = METADATA\n{HANDLER}TOOLS = [{TOOL!r}]\n")
    module_metadata = ada.prompt_generator.make_system_prompt.__globals__["KEPT"]
    module_metadata["tags"].append("b")
    assert (ada.voice_source, ada.metadata) == ({"path": "x", "n": None}, {"tags": ["a"]})


def test_data_that_is_not_json_is_told() -> None:
    """Data that cannot be sent is an error of its attribute."""
    assert wrong_line("METADATA = {}; METADATA['self'] = METADATA").startswith("METADATA cannot be written as JSON (")


# PromptGenerator


def generator(body: str, head: str = "class PromptGenerator:") -> str:
    return character() + f"{head}\n" + "".join(f"    {line}\n" for line in body.splitlines())


PROMPT = "def make_system_prompt(self): ..."
INIT = "def __init__(self, instructions): ..."


@pytest.mark.parametrize("value", ["None", "5", "lambda instructions: None", "object()", "'PromptGenerator'"])
def test_generator_is_no_class(value: str) -> None:
    """A PromptGenerator that is no class is told as such."""
    text = wrong_line(f"PromptGenerator = {value}")
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
def test_generator_cannot_be_made(init: str) -> None:
    """A class that cannot be called with the instructions is told, without calling it."""
    text = "PromptGenerator.__init__ cannot be called with one argument: expected __init__(self, instructions)"
    assert str(wrong(generator(f"{init}\n{PROMPT}"))) == text


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
def test_generator_can_be_made(init: str) -> None:
    """Any class that can be called with one argument will do; it is not called at the load."""
    assert made(generator(f"{init}\n{PROMPT}")).prompt_generator.__name__ == "PromptGenerator"


@pytest.mark.parametrize(
    "head",
    [
        "from dataclasses import dataclass\n@dataclass\nclass PromptGenerator:",
        "from typing import NamedTuple\nclass PromptGenerator(NamedTuple):",
    ],
)
def test_generator_can_be_a_dataclass(head: str) -> None:
    """Constructors that a decorator or a base class made are seen."""
    assert made(generator(f"instructions: dict\n{PROMPT}", head))


def test_generator_of_a_metaclass_that_takes_nothing() -> None:
    """A class whose metaclass decides how it is called is asked that way."""
    head = "class Meta(type):\n    def __call__(cls): ...\nclass PromptGenerator(metaclass=Meta):"
    assert "cannot be called with one argument" in str(wrong(generator(f"{INIT}\n{PROMPT}", head)))


def test_prompt_is_missing() -> None:
    """A class without `make_system_prompt` is told so, with the line of the class."""
    error = wrong(generator(INIT))
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
def test_prompt_cannot_be_made(method: str) -> None:
    """A `make_system_prompt` that cannot be called on its own is told so."""
    text = (
        "PromptGenerator.make_system_prompt cannot be called without arguments: expected make_system_prompt(self) -> "
    )
    assert str(wrong(generator(f"{INIT}\n{method}"))) == f"{text}str"


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
def test_prompt_can_be_made(method: str) -> None:
    """Whatever can be called on an instance without arguments will do."""
    assert made(generator(f"{INIT}\n{method}"))


def test_methods_may_be_inherited() -> None:
    """A PromptGenerator may have its methods from a base class."""
    assert made(f"{character()}class PromptGenerator(PromptGenerator): ...\n")


@pytest.mark.parametrize(("arguments", "fits"), [("self", True), ("self, mood", False)])
def test_decorated_method_is_what_it_wraps(arguments: str, fits: bool) -> None:
    """A decorator that keeps the signature with `functools.wraps` does not hide a missing argument."""
    wrap = "import functools\ndef loud(f): return functools.wraps(f)(lambda *a: f(*a))\n"
    source = wrap + generator(f"{INIT}\n@loud\ndef make_system_prompt({arguments}): ...")
    if fits:
        assert made(source)
    else:
        assert "make_system_prompt cannot be called without arguments" in str(wrong(source))


# TOOLS


def test_tools_are_kept() -> None:
    """Definitions that are right are the character's tools."""
    assert made(f"{character()}{HANDLER}TOOLS = [{TOOL!r}]").tools == (TOOL,)


@pytest.mark.parametrize("value", ["None", "{}", "()", "'roll'", "5"])
def test_tools_are_no_list(value: str) -> None:
    """TOOLS are a list."""
    assert wrong_line(f"TOOLS = {value}").endswith(": expected a list of function definitions")


@pytest.mark.parametrize(
    "item", [5, "roll", {}, {"type": "function"}, {"type": "web", "function": {}}, {"name": "roll"}]
)
def test_tool_is_no_function_definition(item: object) -> None:
    """Each item has the form of the chat completions API."""
    assert str(wrong(f"{character()}{HANDLER}TOOLS = [{item!r}]")).startswith("TOOLS[0] is no function definition: ")


@pytest.mark.parametrize(
    ("function", "text"),
    [
        ({}, "has the name None"),
        ({"name": ""}, "has the name ''"),
        ({"name": "roll dice"}, "has the name 'roll dice'"),
        ({"name": "würfeln"}, "has the name 'würfeln'"),
        ({"name": "x" * 65}, "has the name of type str"),
        ({"name": "roll\n"}, "has the name 'roll\\n'"),
        ({"name": "roll", "description": 5}, "has a description 5"),
        ({"name": "roll", "parameters": []}, 'has parameters that are no JSON Schema of type "object"'),
        ({"name": "roll", "parameters": {}}, 'has parameters that are no JSON Schema of type "object"'),
        ({"name": "roll", "parameters": {"type": "string"}}, 'has parameters that are no JSON Schema of type "object"'),
        (
            {"name": "roll", "parameters": {"type": "object", "properties": {"n": {"type": "dice"}}}},
            "has parameters that are no valid JSON Schema: 'dice' is not valid",
        ),
    ],
)
def test_function_definition_is_wrong(function: dict[str, Any], text: str) -> None:
    """What is wrong with a definition is told with its place in the list."""
    tools = [TOOL, {"type": "function", "function": function}]
    assert str(wrong(f"{character()}{HANDLER}TOOLS = {tools!r}")).startswith(f"TOOLS[1] {text}")


@pytest.mark.parametrize("name", ["r", "roll_dice", "Roll-2", "x" * 64])
def test_name_of_a_tool(name: str) -> None:
    """A name is what the chat completions API takes; parameters may be left out."""
    assert made(f"{character()}{HANDLER}TOOLS = [{{'type': 'function', 'function': {{'name': {name!r}}}}}]").tools


def test_names_of_tools_are_unique() -> None:
    """Two tools of one name could not be told apart."""
    error = wrong(f"{character()}{HANDLER}TOOLS = [{TOOL!r}, {TOOL!r}]")
    assert str(error) == "TOOLS[1] has the name 'roll' of an earlier one"


def test_tools_that_are_not_json() -> None:
    """What cannot be sent to a model is told."""
    text = str(wrong(f"{character()}{HANDLER}TOOLS = [{{'type': 'function', 'function': object()}}]"))
    assert text.startswith("TOOLS cannot be written as JSON (")


def test_tools_need_a_handler() -> None:
    """Who has tools must be able to answer their calls."""
    error = wrong(f"{character()}TOOLS = [{TOOL!r}]")
    assert str(error).startswith("PromptGenerator.handle_tool_call is missing: ")


@pytest.mark.parametrize("arguments", ["self", "self, name", "self, a, b, c"])
def test_handler_takes_two_arguments(arguments: str) -> None:
    """A handler that cannot be called with the name and the input is told so."""
    source = f"{INIT}\n{PROMPT}\ndef handle_tool_call({arguments}): ..."
    error = wrong(f"{generator(source)}TOOLS = [{TOOL!r}]")
    assert str(error).startswith("PromptGenerator.handle_tool_call cannot be called with 2 arguments: ")


def test_no_tools_need_no_handler() -> None:
    """An empty list is as good as none."""
    assert made(f"{character()}TOOLS = []").tools == ()


# HOST_TOOLS

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
    """A file may name the host's own tools that its character is to have."""
    assert made(f"{character()}{line}").host_tools == names


@pytest.mark.parametrize(
    ("value", "found"),
    [("None", "None"), ("'reload_characters'", "'reload_characters'"), ("('list_characters',)", "of type tuple")],
)
def test_tools_of_the_host_are_no_list(value: str, found: str) -> None:
    """What should be a list and is not is told with what was found and what was expected."""
    text = f"HOST_TOOLS is {found}: expected a list of distinct names out of {KNOWN}"
    assert wrong_line(f"HOST_TOOLS = {value}") == text


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
    """Each name that the host has no tool for, or that comes twice, is told with its place."""
    assert wrong_line(f"HOST_TOOLS = {value}") == f"HOST_TOOLS{text}"


def test_tool_of_the_file_is_called_like_one_of_the_host() -> None:
    """One name cannot mean two tools; a file that does not have the host's may use it."""
    own = f"{character()}{HANDLER}TOOLS = [{TOOL}]\n".replace("'roll'", "'list_characters'")
    assert made(own).tools[0]["function"]["name"] == "list_characters"
    error = wrong(f"{own}HOST_TOOLS = ['list_characters']")
    assert str(error) == "HOST_TOOLS[0] is 'list_characters', which TOOLS has too: expected another name there"
    assert error.line == own.count("\n") + 1


@pytest.mark.parametrize("tools", ["[5]", "[{'function': 5}]", "[{'type': 'function', 'function': {'name': []}}]"])
def test_tools_of_the_host_beside_broken_ones(tools: str) -> None:
    """Mistakes in TOOLS are told, and nothing else."""
    assert "HOST_TOOLS" not in str(wrong(f"{character()}{HANDLER}TOOLS = {tools}\nHOST_TOOLS = ['list_characters']"))


# LLM


def test_model_of_a_character() -> None:
    """LLM sets the model, how it answers, and where it is; what it leaves out is the server's."""
    wishes = {"model": "llama3.2", "temperature": 0.2, "max_tokens": 300, "stop": "END", "url": "http://h:1/v1"}
    llm = made(f"{character()}LLM = {wishes!r}").llm
    assert (llm.model, str(llm.url), llm.api_key_env) == ("llama3.2", "http://h:1/v1", None)
    assert llm.options == {"temperature": 0.2, "max_tokens": 300, "stop": ["END"]}


@pytest.mark.parametrize("line", ["", "LLM = {}", "LLM = {'model': None}", "import os; LLM = {'stop': ('a', 'b')}"])
def test_model_is_optional(line: str) -> None:
    """A file need not choose anything; a tuple is as good as a list."""
    assert made(f"{character()}{line}").llm.model is None


def test_nothing_is_chosen_without_llm() -> None:
    """A file without LLM leaves all to the server."""
    assert made(character()).llm.model_dump(exclude_none=True) == {}


@pytest.mark.parametrize(
    ("wishes", "text"),
    [
        ({"modle": "m"}, "LLM has 'modle': expected only model, temperature, max_tokens, stop, url, api_key_env"),
        ({1: "m"}, "LLM has '1': expected only model, temperature, max_tokens, stop, url, api_key_env"),
        ({"model": 5}, "LLM['model'] is 5: Input should be a valid string"),
        ({"model": ""}, "LLM['model'] is '': String should have at least 1 character"),
        ({"temperature": 3}, "LLM['temperature'] is 3: Input should be less than or equal to 2"),
        ({"temperature": "hot"}, "LLM['temperature'] is 'hot': Input should be a valid number"),
        ({"max_tokens": 0}, "LLM['max_tokens'] is 0: Input should be greater than or equal to 1"),
        ({"stop": ["a", 5]}, "LLM['stop'] is 5: Input should be a valid string"),
        ({"url": "ftp://h"}, "LLM['url'] is 'ftp://h': URL scheme should be 'http' or 'https'"),
    ],
)
def test_wrong_choice_of_a_model(wishes: dict[Any, Any], text: str) -> None:
    """A wrong value is told with its key, and so is a key that has no meaning."""
    assert wrong_line(f"LLM = {wishes!r}") == text


@pytest.mark.parametrize(("value", "found"), [("None", "None"), ("'llama3.2'", "'llama3.2'"), ("[]", "of type list")])
def test_choice_of_a_model_is_no_dict(value: str, found: str) -> None:
    """LLM is a dict, not the name of a model."""
    assert wrong_line(f"LLM = {value}") == f"LLM is {found}: expected a dict"


def test_all_wrong_choices_are_told() -> None:
    """Each of them has a sentence."""
    text = wrong_line("LLM = {'model': 5, 'max_tokens': 0, 'mood': 1}")
    assert [part.split(" ")[0] for part in text.split("; ")] == ["LLM['model']", "LLM['max_tokens']", "LLM"]


@pytest.mark.parametrize("scheme", ["http", "ftp"])
def test_key_in_the_address_of_a_model(scheme: str) -> None:
    """A key in the address is refused as in the server's own setting, and not repeated where everybody can read it."""
    text = wrong_line(f"LLM = {{'url': '{scheme}://me:s3cret@h'}}")
    assert text.startswith("LLM['url'] ")
    assert "s3cret" not in text


# GREETING


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
    """A file may have none, one or several, which are kept word for word, as plain texts."""
    ada = made(f"{character()}{line}")
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
    """A greeting is a text that says something, or a list of such."""
    text = f"GREETING is {found}: expected a str or a list of str, none of them empty"
    assert wrong_line(f"GREETING = {value}") == text


def test_greeting_that_cannot_be_sent() -> None:
    """Half a character is told at the load, not when the greeting is said."""
    assert wrong_line("GREETING = 'Ahoy \\ud800'").startswith("GREETING cannot be written as JSON (")


def test_greetings_are_a_copy() -> None:
    """What the file does to its list later does not show."""
    ada = made(f"{character()}GREETING = ['Ahoy!']\n")
    ada.prompt_generator.make_system_prompt.__globals__["GREETING"].append("Arr!")
    assert ada.greetings == ("Ahoy!",)


# Lines


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
def test_line_is_where_the_author_has_to_look(source: str, line: int) -> None:
    """The line is that of the last statement that binds the attribute; of a missing method, that of the class."""
    assert wrong(f"{character()}{source}").line == line


def test_line_is_none_where_nothing_is() -> None:
    """An attribute that no statement binds has no line."""
    assert wrong("").line is None


def test_local_variable_is_not_the_attribute() -> None:
    """A variable of that name inside a function is none of the file's."""
    source = "METADATA = 5\n\ndef f():\n    METADATA = 6\n"
    assert line_of(source, "METADATA") == 1


def test_all_mistakes_are_told_at_once() -> None:
    """A file with several mistakes says them all, with the line of the first that has one, and the name."""
    error = wrong(f"{character('Bob')}del VOICE_SOURCE\nMETADATA = 5\nclass PromptGenerator: ...\nTOOLS = 5")
    where = [text.split(" ")[0] for text in str(error).split("; ")]
    assert where == [
        "VOICE_SOURCE",
        "METADATA",
        "PromptGenerator.__init__",
        "PromptGenerator.make_system_prompt",
        "TOOLS",
    ]
    assert error.character == "Bob"
