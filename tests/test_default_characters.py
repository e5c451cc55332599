"""The default characters keep to the format, and each shows its feature."""

import importlib
import json
import re
import sys
import unicodedata
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted(path for path in (ROOT / "characters").glob("*.py") if not path.name.startswith("_"))
README = (ROOT / "characters" / "README.md").read_text(encoding="utf-8")

Load = Callable[[str], Any]

each_file = pytest.mark.parametrize("stem", [path.stem for path in FILES])


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Import character files as an author's own tests would, and leave nothing behind."""
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = take_modules()
    yield lambda stem: importlib.import_module(f"characters.{stem}")
    take_modules()
    sys.modules.update(before)


def take_modules() -> dict[str, ModuleType]:
    """Remove the package `characters` from `sys.modules` and return its modules."""
    return {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "characters"}


def talk_to(character: Any) -> Any:
    """Return the generator of a new conversation."""
    return character.PromptGenerator(character.INSTRUCTIONS)


def code_blocks(marker: str = "") -> list[str]:
    """Return the Python blocks of the README that follow *marker*."""
    return re.findall(rf"{re.escape(marker)}```python\n(.*?)```", README, flags=re.DOTALL)


def exec_template() -> dict[str, Any]:
    """Execute the template of the README and return its names."""
    (template,) = code_blocks("<!-- template -->\n")
    namespace: dict[str, Any] = {"__name__": "ada"}
    exec(compile(template, "README.md", "exec"), namespace)
    return namespace


# Every file


@each_file
def test_required_attributes(load: Load, stem: str) -> None:
    """Every file has the required attributes, with the right types."""
    character = load(stem)
    assert isinstance(character.CHARACTER_NAME, str)
    assert 0 < len(character.CHARACTER_NAME.strip()) <= 200
    assert isinstance(character.VOICE_SOURCE, dict)
    assert isinstance(character.INSTRUCTIONS, dict)
    assert isinstance(character.PromptGenerator, type)


@each_file
def test_voice_names_its_file(load: Load, stem: str) -> None:
    """Every voice is a file on the speech server, with a description."""
    voice = load(stem).VOICE_SOURCE
    assert voice["source_type"] == "file"
    assert voice["path_on_server"].endswith(".wav")
    assert voice["description"]


@each_file
def test_instructions_are_constant_text(load: Load, stem: str) -> None:
    """Every character's instructions have the form that voice clients know."""
    instructions = load(stem).INSTRUCTIONS
    assert instructions.keys() == {"type", "language", "text"}
    assert instructions["type"] == "constant"


@each_file
def test_metadata_types(load: Load, stem: str) -> None:
    """Metadata is marked good or not at all, and has a comment."""
    metadata = load(stem).METADATA
    assert metadata.get("good") in (True, None)
    assert isinstance(metadata["comment"], str)


@each_file
def test_system_prompt_begins_with_the_instructions(load: Load, stem: str) -> None:
    """The prompt of every character begins with its instructions."""
    character = load(stem)
    prompt = talk_to(character).make_system_prompt()
    assert prompt.startswith(character.INSTRUCTIONS["text"])
    assert character.CHARACTER_NAME in prompt


def test_names_are_unique(load: Load) -> None:
    """No two files use one name, however it is written."""
    names = [unicodedata.normalize("NFC", load(path.stem).CHARACTER_NAME).strip() for path in FILES]
    assert len(set(names)) == len(names) >= 6


def test_charlotte_comes_first() -> None:
    """Charlotte is the first file, so she is the default character."""
    assert FILES[0].name == "charlotte.py"


def test_one_character_is_not_listed(load: Load) -> None:
    """At least one character is not marked good, to show that it is left out of /v1/voices."""
    assert any("good" not in load(path.stem).METADATA for path in FILES)


# What single files show


def test_clockmaker_knows_the_year(load: Load) -> None:
    """The clockmaker's prompt has the current year."""
    before = datetime.now().year
    prompt = talk_to(load("clockmaker")).make_system_prompt()
    assert str(before) in prompt or str(datetime.now().year) in prompt


def test_clockmaker_looks_at_the_clock_for_every_answer(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clockmaker's prompt has the time at which it is made, not that of the start of the conversation."""

    class Later(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> "Later":
            return cls(2031, 3, 4, 16, 20)

    clockmaker = load("clockmaker")
    generator = talk_to(clockmaker)
    monkeypatch.setattr(clockmaker, "datetime", Later)
    assert "16:20 on Tuesday, 4 March 2031" in generator.make_system_prompt()


def test_gardener_has_every_plant_of_the_notebook(load: Load) -> None:
    """The gardener's prompt has all plants of her helper."""
    prompt = talk_to(load("gardener")).make_system_prompt()
    assert all(plant.name in prompt and plant.trouble in prompt for plant in load("resources.garden").PLANTS)


def test_lexicographer_imports_his_words_late(load: Load) -> None:
    """The lexicographer's words are imported when they are first needed, not when he is loaded."""
    professor = load("lexicographer")
    assert "characters.resources.words" not in sys.modules
    assert "petrichor" in talk_to(professor).make_system_prompt()


def test_quiz_questions_vary(load: Load) -> None:
    """The quiz host has different questions in different conversations."""
    quiz = load("quiz-show")
    assert len({tuple(talk_to(quiz).questions) for _ in range(20)}) > 1


def test_quiz_questions_stay_for_a_conversation(load: Load) -> None:
    """The quiz host does not change the questions in the middle of a conversation."""
    generator = talk_to(load("quiz-show"))
    assert generator.make_system_prompt() == generator.make_system_prompt()


def test_quiz_prompt_has_question_and_answer(load: Load) -> None:
    """The quiz host's prompt has each question with its answer."""
    generator = talk_to(load("quiz-show"))
    prompt = generator.make_system_prompt()
    assert all(f"{question.text} Answer: {question.answer}." in prompt for question in generator.questions)


def test_french_character_is_french(load: Load) -> None:
    """The French character's language is French."""
    assert load("développeuse").INSTRUCTIONS["language"] == "fr"


def test_innkeeper_has_greetings(load: Load) -> None:
    """The innkeeper greets in several ways, without naming a tool."""
    greetings = load("innkeeper").GREETING
    assert len(set(greetings)) > 1
    assert not any("throw_dice" in greeting for greeting in greetings)


# Tools


def test_tools_are_function_definitions(load: Load) -> None:
    """The innkeeper's tools have unique, valid names and take an object."""
    functions = [tool["function"] for tool in load("innkeeper").TOOLS if tool["type"] == "function"]
    names = [function["name"] for function in functions]
    assert len(set(names)) == len(names) == 3
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) for name in names)
    assert all(function["parameters"]["type"] == "object" for function in functions)


def test_tools_can_be_sent_to_a_model(load: Load) -> None:
    """The innkeeper's tools survive JSON unchanged."""
    tools = load("innkeeper").TOOLS
    assert json.loads(json.dumps(tools)) == tools


def test_thrown_dice_add_up(load: Load) -> None:
    """The innkeeper's tool throws the requested number of dice and returns their sum."""
    answer = talk_to(load("innkeeper")).handle_tool_call("throw_dice", {"count": 3})
    *dice, total = map(int, re.findall(r"\d+", answer))
    assert len(dice) == 3
    assert all(1 <= die <= 6 for die in dice)
    assert total == sum(dice)


def test_points_are_kept_and_in_the_prompt(load: Load) -> None:
    """The innkeeper keeps the score, and it is in the prompt."""
    generator = talk_to(load("innkeeper"))
    generator.handle_tool_call("add_point", {"winner": "guest"})
    assert "guest 2, Bramble 0" in generator.handle_tool_call("add_point", {"winner": "guest"})
    assert "guest 2, Bramble 0" in generator.make_system_prompt()


def test_new_game_forgets_the_score(load: Load) -> None:
    """A new game begins with nothing."""
    generator = talk_to(load("innkeeper"))
    generator.handle_tool_call("add_point", {"winner": "Bramble"})
    assert "guest 0, Bramble 0" in generator.handle_tool_call("new_game", {})


def test_conversations_have_their_own_score(load: Load) -> None:
    """A point in one conversation does not show in another."""
    innkeeper = load("innkeeper")
    talk_to(innkeeper).handle_tool_call("add_point", {"winner": "guest"})
    assert "guest 0" in talk_to(innkeeper).make_system_prompt()


@pytest.mark.parametrize("tool_input", [{}, {"count": 0}, {"count": 7}, {"count": "two"}, {"count": None}])
def test_impossible_throw_is_explained(load: Load, tool_input: dict[str, Any]) -> None:
    """A throw that cannot be made has a result with the possible ones."""
    answer = talk_to(load("innkeeper")).handle_tool_call("throw_dice", tool_input)
    assert answer == "Throw between one and six dice."


@pytest.mark.parametrize("tool_input", [{}, {"winner": "fox"}, {"winner": ["guest"]}])
def test_unknown_winner_gets_no_point(load: Load, tool_input: dict[str, Any]) -> None:
    """A point for an unknown player changes nothing, and the result names the players."""
    generator = talk_to(load("innkeeper"))
    assert "The players are guest and Bramble." in generator.handle_tool_call("add_point", tool_input)
    assert "guest 0, Bramble 0" in generator.make_system_prompt()


def test_unknown_tool_is_named(load: Load) -> None:
    """An unknown tool has a sentence as its result, not an exception."""
    answer = talk_to(load("innkeeper")).handle_tool_call("juggle", {})
    assert answer == "There is no tool called juggle."


# README.md


def test_template_is_a_character() -> None:
    """The README's template has the required attributes and makes a prompt."""
    ada = exec_template()
    assert ada.keys() >= {"CHARACTER_NAME", "VOICE_SOURCE", "INSTRUCTIONS", "METADATA"}
    assert ada["PromptGenerator"](ada["INSTRUCTIONS"]).make_system_prompt().startswith("You are Ada.")


def test_readme_code_compiles() -> None:
    """Every Python block of the README is valid Python."""
    for block in code_blocks():
        compile(block, "README.md", "exec")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_readme_names_every_character(path: Path) -> None:
    """The README names every character file."""
    assert f"[{path.name}]({path.name})" in README


def test_readme_links_lead_somewhere() -> None:
    """Every file that the README links to exists."""
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("#")]
    assert [link for link in links if not (ROOT / "characters" / link.partition("#")[0]).exists()] == []
