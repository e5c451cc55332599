"""How the habits of servers are learned, over real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from charhost.character.character import ModelChoice
from charhost.llm.model import Delta, ModelError, ModelRequest
from charhost.llm.openai.provider import UpstreamModels
from charhost.settings import Settings
from tests.scripted import pieces_of
from tests.strict_upstream import MODES, StrictUpstream, strict_upstream

Make = Callable[..., UpstreamModels]

LOOK = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
SHAPE: list[dict[str, Any]] = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": [{"type": "text", "text": "Hello"}], "name": "zoe"},
    {"role": "user", "content": "Hello?"},
    {"role": "assistant", "content": ""},
    {"role": "developer", "content": "Be quick."},
    {"role": "system", "content": "It is late."},
    {"role": "user", "content": "And?"},
]
OPTIONS = {"max_tokens": 50, "temperature": 0.7, "stop": ["model"], "parallel_tool_calls": False}
REQUEST = ModelRequest(SHAPE, tools=[LOOK], options=OPTIONS)
PLAIN = ModelRequest([{"role": "user", "content": "Hello"}])


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """Makes models from settings."""
    made = []

    def make(upstream: StrictUpstream, **more: Any) -> UpstreamModels:
        made.append(UpstreamModels(Settings(llm_url=upstream.url, llm_model="strict", **more)))
        return made[-1]

    yield make
    for models in made:
        await models.close()


async def response(models: UpstreamModels, request: ModelRequest = REQUEST, **choice: Any) -> list[Delta]:
    """All pieces of a response."""
    character: Any = SimpleNamespace(name="Ada", llm=ModelChoice(**choice))
    return [delta async for delta in pieces_of(models.of(character), request)]


def request_for(mode: str) -> ModelRequest:
    """A request with everything that servers object to; the limit has one name at a time."""
    options = OPTIONS if mode != "max-tokens" else {"max_completion_tokens": 50}
    return ModelRequest(SHAPE, tools=[LOOK], options=options)


@pytest.mark.parametrize("mode", MODES)
async def test_habit_is_learned(mode: str, make: Make) -> None:
    """A refused request is sent once more in the server's form, and the next one in that form at once."""
    async with strict_upstream(mode) as upstream:
        models = make(upstream)
        assert await response(models, request_for(mode))
        assert upstream.refused == [mode, ""]
        await response(models, request_for(mode))
        assert upstream.refused == [mode, "", ""]
        assert [habits.model for habits in models.habits()] == ["strict"]


async def test_several_habits(make: Make) -> None:
    """A server with many habits is learned in one request."""
    modes = [mode for mode in MODES if mode != "max-tokens" and " " not in mode]
    async with strict_upstream(*modes) as upstream:
        models = make(upstream)
        assert await response(models)
        assert upstream.refused[-1] == ""
        await response(models)
        assert upstream.refused[-2:] == ["", ""]


async def test_wrong_values_teach_nothing(make: Make) -> None:
    """After ten wrong values of one client the requests of another are unchanged."""
    wrong: list[dict[str, Any]] = [
        {"temperature": 99},
        {"temperature": "unsupported"},
        {"top_p": 7},
        {"max_tokens": -1},
        {"max_completion_tokens": 0},
        {"stop": ["a", "b", "c", "d", "e"]},
        {"stop": {"unknown": "stop is not supported"}},
        {"seed": "unrecognized"},
        {"presence_penalty": 9},
        {"frequency_penalty": "temperature is not supported"},
    ]
    async with strict_upstream() as upstream:
        models = make(upstream)
        await response(models)
        for options in wrong:
            with pytest.raises(ModelError) as caught:
                await response(models, ModelRequest(SHAPE, tools=[LOOK], options=OPTIONS | options))
            assert caught.value.error_type == "refused"
        await response(models)
        assert upstream.accepted[0] == upstream.accepted[-1]
        assert not models.habits()


async def test_a_form_that_is_refused_too_is_not_remembered(make: Make) -> None:
    """If the second form is refused as well, nothing is learned."""
    async with strict_upstream("no-tools") as upstream:
        models = make(upstream)
        with pytest.raises(ModelError):
            await response(models, ModelRequest(SHAPE, tools=[LOOK], options={"temperature": 99}))
        assert not models.habits()


async def test_tools_of_a_client_stay(make: Make) -> None:
    """A server without tools refuses a client's own; they are never left out."""
    async with strict_upstream("no-tools") as upstream:
        models = make(upstream)
        await response(models)
        with pytest.raises(ModelError, match="does not support tools"):
            await response(models, ModelRequest(SHAPE, tools=[LOOK], needs_tools=True))
        assert "tools" in upstream.requests[-1]


async def test_stop_is_applied_here(make: Make) -> None:
    """For a server that knows no `stop` the text ends before the string all the same."""
    async with strict_upstream("no-stop") as upstream:
        deltas = await response(make(upstream), ModelRequest(PLAIN.messages, options={"stop": ["the mod"]}))
        assert "".join(delta.text for delta in deltas) == "Hello from "
        assert deltas[-1].finish == "stop"


async def test_configured_habits(make: Make) -> None:
    """Habits of `--llm-compat` and of a character's `compat` are kept from the first request on."""
    async with strict_upstream("no-tools", "no-name") as upstream:
        await response(make(upstream, llm_compat="no-tools, no-name"))
        await response(make(upstream), compat=["no-tools", "no-name"])
        assert upstream.refused == ["", ""]


async def test_habits_of_a_model(make: Make) -> None:
    """Another model of the same server is asked in the full form."""
    async with strict_upstream("no-tools") as upstream:
        models = make(upstream)
        await response(models)
        upstream.modes = ()
        await response(models, model="other")
        assert "tools" in upstream.requests[-1]
