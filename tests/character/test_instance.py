"""A character's own code in a conversation: its prompt, its tools, and their errors."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from charhost.character import instance as instance_module
from charhost.character.instance import CharacterInstance
from charhost.errors import PluginFailed
from charhost.threads.worker_pool import WorkerPool
from tests.scripted import LIMIT, Kind, make_character

SHORT = 0.2  # the deadline of what is meant to miss it
_RELEASES: list[threading.Event] = []


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """The event that `Blocked` waits for; set at the end of the test."""
    _RELEASES.append(threading.Event())
    yield _RELEASES[-1]
    _RELEASES.pop().set()


def of(generator: type[Any], deadline: float = LIMIT) -> CharacterInstance:
    """Return the instance of a character with that `PromptGenerator`."""
    return CharacterInstance(make_character(generator), WorkerPool(), deadline)


def prompting(make: Callable[[], Any]) -> type[Any]:
    """Return a `PromptGenerator` whose prompt is the result of *make*."""

    class Prompting(Kind):
        def make_system_prompt(self) -> Any:
            return make()

    return Prompting


def raising(error: BaseException) -> Callable[[], Any]:
    def job() -> Any:
        raise error

    return job


async def answer(character: CharacterInstance, **arguments: Any) -> Any:
    """Return the result of the character's tool."""
    return await character.ask(lambda: character.answer("roll", arguments, LIMIT), LIMIT)


async def failure(character: CharacterInstance) -> PluginFailed:
    """Return the error of the prompt."""
    with pytest.raises(PluginFailed) as caught:
        await asyncio.wait_for(character.prompt(), LIMIT)
    return caught.value


class Counting(Kind):
    """Has a prompt with the number of instances, and of calls on this one."""

    made = 0

    def __init__(self, instructions: dict[str, Any]) -> None:
        Counting.made += 1
        self.asked = 0

    def make_system_prompt(self) -> str:
        self.asked += 1
        return f"{Counting.made} {self.asked}"


class Asynchronous(Kind):
    async def make_system_prompt(self) -> str:  # type: ignore[override]
        await asyncio.sleep(0)
        return "Be async."


class Hopeless(Kind):
    def __init__(self, instructions: dict[str, Any]) -> None:
        raise KeyError("mood")


class Looping(Kind):
    def make_system_prompt(self) -> str:
        while True:
            time.sleep(0.001)


class Sleeping(Kind):
    async def make_system_prompt(self) -> str:  # type: ignore[override]
        await asyncio.sleep(1)
        return "late"


class Blocked(Kind):
    def make_system_prompt(self) -> str:
        _RELEASES[-1].wait()
        return "late"


class Hostile(str):
    """A str whose methods raise."""

    def __str__(self) -> str:
        raise RuntimeError("str")

    def encode(self, *args: Any) -> bytes:
        raise RuntimeError("encode")

    def __format__(self, spec: str) -> str:
        raise RuntimeError("format")


class WrongLength(str):
    """A str that reports a length of 1."""

    def __len__(self) -> int:
        return 1


# The prompt


async def test_prompt_is_made_of_the_instructions() -> None:
    """The class receives the INSTRUCTIONS of the file, as the same object."""

    class Reading(Kind):
        def make_system_prompt(self) -> str:
            return str(self.instructions["text"])

    character = of(Reading)
    assert await character.prompt() == "Be kind."
    assert character._instance().instructions is character.character.instructions


async def test_prompt_is_made_once() -> None:
    """A conversation has one instance, and makes its prompt once."""
    Counting.made = 0
    character = of(Counting)
    assert [await character.prompt() for _ in range(3)] == ["1 1"] * 3


async def test_prompt_is_made_once_for_concurrent_responses() -> None:
    """Two concurrent responses share one call of the prompt."""
    Counting.made = 0
    character = of(Counting)
    assert {*await asyncio.gather(character.prompt(), character.prompt())} == {"1 1"}


async def test_prompt_may_be_asynchronous() -> None:
    """An `async def` is run in an event loop of its own, off the server's thread."""
    assert await of(Asynchronous).prompt() == "Be async."


async def test_prompt_is_not_made_on_the_event_loop() -> None:
    """A prompt is made on a thread of the pool."""
    assert await of(prompting(lambda: threading.current_thread().name)).prompt() == "charhost-loader"


async def test_prompt_of_a_class_of_its_own_is_plain() -> None:
    """A prompt of a subclass of str is copied without a call of its methods."""
    prompt = await of(prompting(lambda: Hostile("Be plain."))).prompt()
    assert type(prompt) is str
    assert prompt == "Be plain."


async def test_lone_surrogates_are_escaped() -> None:
    """A lone surrogate in a prompt is escaped."""
    assert await of(prompting(lambda: "a\ud800")).prompt() == "a\\ud800"


async def test_empty_prompt_is_a_prompt() -> None:
    """An empty prompt is valid, and not made again."""
    prompts = iter(["", "again"])
    character = of(prompting(lambda: next(prompts)))
    assert [await character.prompt() for _ in range(2)] == ["", ""]


# What can go wrong


@pytest.mark.parametrize(
    "error",
    [
        ValueError("mood"),
        SystemExit(3),
        KeyboardInterrupt(),
        StopIteration("mood"),
        GeneratorExit(),
        asyncio.CancelledError(),
        RecursionError("deep"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_prompt_that_raises(error: BaseException) -> None:
    """Any exception of a prompt is a `PluginFailed` with its class."""
    assert (await failure(of(prompting(raising(error))))).failure.exception == type(error).__name__


async def test_the_text_of_an_error_is_code() -> None:
    """The text of an error is made on a thread of the pool, not on the event loop."""

    class Odd(BaseException):
        def __str__(self) -> str:
            return threading.current_thread().name

    assert (await failure(of(prompting(raising(Odd()))))).failure.message == "charhost-loader"


@pytest.mark.parametrize("error", [ValueError("mood"), SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()])
async def test_asynchronous_prompt_that_raises(error: BaseException) -> None:
    """Any exception of an `async def` is a `PluginFailed` with its class."""

    async def make() -> str:
        raise error

    assert (await failure(of(prompting(make)))).failure.exception == type(error).__name__


@pytest.mark.parametrize(("value", "found"), [(None, "NoneType"), (b"Be kind.", "bytes"), (5, "int"), (["a"], "list")])
async def test_prompt_that_is_no_text(value: object, found: str) -> None:
    """A prompt that is no str is an error with the type found."""
    message = (await failure(of(prompting(lambda: value)))).failure.message
    assert message == f"make_system_prompt returned a value of type {found}: expected a str"


async def test_prompt_that_is_endless() -> None:
    """A prompt may have a million characters, and no more."""
    assert len(await of(prompting(lambda: "x" * instance_module.MOST_PROMPT)).prompt()) == 1_000_000
    found = (await failure(of(prompting(lambda: "x" * 2_000_000)))).failure.message
    assert found == "make_system_prompt returned 2,000,000 characters: expected at most 1,000,000"


async def test_prompt_with_a_wrong_length() -> None:
    """The limit holds for a subclass of str with another `__len__`."""
    assert (
        "2,000,000 characters" in (await failure(of(prompting(lambda: WrongLength("x" * 2_000_000))))).failure.message
    )


async def test_instance_that_cannot_be_made() -> None:
    """The error of a constructor has its line."""
    found = (await failure(of(Hopeless))).failure
    assert (found.exception, found.message) == ("KeyError", "'mood'")
    assert found.line == Hopeless.__init__.__code__.co_firstlineno + 1


@pytest.mark.parametrize("generator", [Looping, Sleeping, Blocked])
async def test_prompt_that_hangs(generator: type[Any], release: threading.Event) -> None:
    """A prompt over its deadline is an error, in a Python loop, in a blocking call and in an `async def`."""
    found = (await failure(of(generator, SHORT))).failure
    assert (found.error_type, found.message) == ("LoadTimeout", "not finished after 0.2 s")


async def test_line_of_what_hangs(release: threading.Event) -> None:
    """The error of a prompt over its deadline has the line that was running."""
    first = Blocked.make_system_prompt.__code__.co_firstlineno
    assert (await failure(of(Blocked, SHORT))).failure.line == first + 1


async def test_hanging_thread_is_ended() -> None:
    """The thread of a prompt over its deadline ends."""
    pool = WorkerPool()
    with pytest.raises(PluginFailed):
        await CharacterInstance(make_character(Looping), pool, SHORT).prompt()
    for thread in [thread for thread in threading.enumerate() if thread.name == "charhost-loader"]:
        thread.join(LIMIT)
    assert pool.stuck == 0


async def test_hanging_prompt_of_another_conversation(release: threading.Event) -> None:
    """A prompt that hangs does not delay another conversation with the same pool."""
    pool = WorkerPool()
    hanging = asyncio.create_task(CharacterInstance(make_character(Blocked), pool, LIMIT).prompt())
    await asyncio.sleep(0)
    assert await CharacterInstance(make_character(), pool, LIMIT).prompt() == "Be kind."
    assert not hanging.done()
    hanging.cancel()


async def test_next_turn_tries_again() -> None:
    """A prompt that failed is made again for the next response."""
    outcomes = iter([1 / 3, None, "Be kind."])
    character = of(prompting(lambda: next(outcomes)))
    await failure(character)
    await failure(character)
    assert await character.prompt() == "Be kind."


async def test_waiting_response_tries_again() -> None:
    """A response that waited for a prompt that failed makes it again."""
    outcomes = iter([None, "Be kind."])
    character = of(prompting(lambda: next(outcomes)))
    first, second = await asyncio.gather(character.prompt(), character.prompt(), return_exceptions=True)
    assert isinstance(first, PluginFailed)
    assert second == "Be kind."


async def test_cancelled_wait_for_a_prompt(release: threading.Event) -> None:
    """A cancelled wait ends, and the next response can make the prompt."""
    character = of(Blocked)
    waiting = asyncio.create_task(character.prompt())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    release.set()
    assert await asyncio.wait_for(character.prompt(), LIMIT) == "late"


async def test_log_names_file_and_line(caplog: pytest.LogCaptureFixture) -> None:
    """The log has the file, the line and the traceback of the error."""
    await failure(of(Hopeless))
    line = Hopeless.__init__.__code__.co_firstlineno + 1
    assert f"character Ada failed: test_instance.py:{line}: KeyError: 'mood'" in caplog.text
    assert "Traceback" in caplog.text


# Tools


async def test_answer_to_a_call() -> None:
    """The handler receives the name of the tool and its arguments."""
    character = of(Kind)
    assert await answer(character, n=2) == "roll did [('n', 2)]"


async def test_answer_comes_from_the_instance_that_made_the_prompt() -> None:
    """The prompt and the tools share one instance."""

    class Remembering(Kind):
        def make_system_prompt(self) -> str:
            self.mood = "calm"
            return ""

        def handle_tool_call(self, tool_name: str, tool_input: dict[str, Any]) -> str:
            return self.mood

    character = of(Remembering)
    await character.prompt()
    assert await answer(character) == "calm"


@pytest.mark.parametrize(("value", "found"), [(None, "NoneType"), (4, "int"), ({}, "dict")])
async def test_answer_that_is_no_text(value: object, found: str) -> None:
    """A result that is no str is an error with the type found."""

    class Wordless(Kind):
        def handle_tool_call(self, tool_name: str, tool_input: dict[str, Any]) -> Any:
            return value

    character = of(Wordless)
    with pytest.raises(PluginFailed, match=f"handle_tool_call returned a value of type {found}: expected a str"):
        await answer(character)


async def test_asynchronous_answer() -> None:
    """A handler may be an `async def`, and its result a subclass of str."""

    class Odd(Kind):
        async def handle_tool_call(  # type: ignore[override]
            self, tool_name: str, tool_input: dict[str, Any]
        ) -> str:
            return Hostile("4\ud800")

    character = of(Odd)
    answered = await answer(character)
    assert (type(answered), answered) == (str, "4\\ud800")
