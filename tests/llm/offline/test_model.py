"""The stand-in without a language model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from charhost.llm.offline.model import OfflineModel
from charhost.reload.manager import CharacterManager
from tests.conftest import character
from tests.llm.offline.asking import TOOLS, ada, answer, call, deltas, result


async def test_an_answer_comes_word_by_word() -> None:
    """As from a model: each word brings the space before it, and the end comes last, with an estimate of the tokens."""
    *words, last = await deltas(OfflineModel(ada()), "Hello!")
    text = "".join(delta.text for delta in words)
    assert [delta.text.strip() for delta in words] == text.split()
    assert (last.finish, last.text) == ("stop", "")
    assert last.usage is not None
    assert (last.usage.input_tokens, last.usage.output_tokens) == (2, -(-len(text) // 4))


@pytest.mark.parametrize("option", ["max_tokens", "max_completion_tokens"])
async def test_a_limit_of_tokens_cuts_the_answer(option: str) -> None:
    """About four characters are a token."""
    *words, last = await deltas(OfflineModel(ada()), "Hello!", options={option: 5})
    assert 5 < len("".join(delta.text for delta in words)) <= 20
    assert last.finish == "length"


@pytest.mark.parametrize("stop", [" model is", ["xyz", " model is"], ("", " connected", " model is")])
async def test_a_stop_string_ends_the_answer(stop: Any) -> None:
    """The first one that occurs counts, and is not sent."""
    *words, last = await deltas(OfflineModel(ada()), "Hello!", options={"stop": stop})
    assert "".join(delta.text for delta in words) == "(Offline: no language"
    assert last.finish == "stop"


@pytest.mark.parametrize("options", [{"max_tokens": None}, {"max_tokens": "2"}, {"max_tokens": True}, {"stop": 5}])
async def test_odd_options_are_ignored(options: dict[str, Any]) -> None:
    """The server checks options; the stand-in does not fall over them."""
    assert await answer("Hello!", options=options) == await answer("Hello!")


async def test_a_tool_that_is_asked_for_is_called() -> None:
    """The call stands alone, with an identifier, and is the reason for the end."""
    first, last = await deltas(OfflineModel(ada()), '/throw_dice {"count": 3}', tools=TOOLS)
    (made,) = first.calls
    assert (made.index, made.name, made.arguments, first.text) == (0, "throw_dice", '{"count": 3}', "")
    assert made.id
    assert made.id.startswith("call_")
    assert last.finish == "tool_calls"
    assert last.usage


async def test_every_call_has_its_own_identifier() -> None:
    """The same words later in a conversation make another call."""
    first = await call("/throw_dice")
    second = await call(*result("5"), {"role": "assistant", "content": "A five."}, "/throw_dice")
    assert first
    assert second
    assert first.id != second.id


async def test_a_long_command_reaches_the_tool_whole() -> None:
    """The arguments of a command are not cut."""
    arguments = json.dumps({"count": "9" * 5000})
    made = await call(f"/throw_dice {arguments}")
    assert made
    assert made.arguments == arguments


async def test_a_loaded_character_can_be_talked_to(
    manager: CharacterManager, write: Callable[[str, str], Path]
) -> None:
    """A character from a file has replies."""
    write("bea.py", character("Bea", "You are Bea. You garden."))
    await manager.reload_characters()
    assert "I am Bea. I garden." in await answer("Who are you?", of=manager.current["Bea"])
