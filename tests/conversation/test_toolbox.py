"""Toolbox: the calls that a model makes of a character's tools."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from charhost.character.host_tools import HOST_TOOLS, Host
from charhost.character.instance import CharacterInstance
from charhost.conversation.items import FunctionCall
from charhost.conversation.toolbox import MOST_RESULT, Toolbox
from charhost.errors import Stopping
from charhost.metrics import Metrics
from charhost.threads.worker_pool import WorkerPool
from tests.scripted import LIMIT, Kind, Tool, make_character, tool

SHORT = 0.2
ROLL = tool("roll", sides={"enum": [6, 20]})


class World:
    """A toolbox, and its metrics."""

    def __init__(
        self,
        generator: type[Any] = Kind,
        tools: Sequence[Tool] = (ROLL,),
        deadline: float = LIMIT,
        *,
        host_tools: Sequence[str] = (),
        host: Host | None = None,
    ) -> None:
        self.metrics = Metrics()
        instance = CharacterInstance(make_character(generator, tools=tools, host_tools=host_tools), WorkerPool(), LIMIT)
        self.toolbox = Toolbox(instance, self.metrics, deadline, host)

    async def result(self, arguments: str = '{"sides": 6}', name: str = "roll") -> str:
        """Return the result of one call."""
        (output,) = await self.toolbox.run_all([FunctionCall(call_id="c1", name=name, arguments=arguments)])
        assert (output.call_id, output.hidden) == ("c1", True)
        return output.output

    def sample(self, metric: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"charhost_{metric}", labels)


class Asked(Kind):
    """A tool that records its calls."""

    calls: list[dict[str, Any]]

    def handle_tool_call(self, tool_name: str, tool_input: dict[str, Any]) -> str:
        self.calls.append(tool_input)
        return "done"


@pytest.fixture(autouse=True)
def asked() -> list[dict[str, Any]]:
    """Return the arguments that `Asked` received."""
    Asked.calls = []
    return Asked.calls


async def test_call_is_answered() -> None:
    """The character receives the name and the parsed arguments, and its result is returned."""
    world = World()
    assert await world.result() == "roll did [('sides', 6)]"
    assert (world.sample("tool_calls_total"), world.sample("tool_latency_seconds_count")) == (1, 1)
    assert world.sample("tool_errors_total", error_type="BadArguments") is None


async def test_no_arguments_are_an_empty_object(asked: list[dict[str, Any]]) -> None:
    """A tool that takes nothing may be called with nothing."""
    assert await World(Asked, [tool("roll")]).result("") == "done"
    assert asked == [{}]


async def test_tool_without_parameters(asked: list[dict[str, Any]]) -> None:
    """A definition may leave out its parameters: then any object will do, but no other value."""
    world = World(Asked, [{"type": "function", "function": {"name": "roll"}}])
    assert await world.result('{"any": [1]}') == "done"
    assert (await world.result("[]")).startswith("Error: the arguments do not fit, at $: ")
    assert asked == [{"any": [1]}]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ('{"sides": 7}', "the arguments do not fit, at $.sides: 7 is not one of [6, 20]"),
        ("{}", "the arguments do not fit, at $: 'sides' is a required property"),
        ("", "the arguments do not fit, at $: 'sides' is a required property"),
        ('{"sides": null}', "the arguments do not fit, at $.sides: None is not one of [6, 20]"),
        ("null", "the arguments do not fit, at $: None is not of type 'object'"),
        ("[6]", "the arguments do not fit, at $: [6] is not of type 'object'"),
        ('"6"', "the arguments do not fit, at $: '6' is not of type 'object'"),
        ("6", "the arguments do not fit, at $: 6 is not of type 'object'"),
        ('{"sides": 6', "the arguments are no JSON: EOF while parsing an object at line 1 column 11"),
        ('{"sides": 6}}', "the arguments are no JSON: trailing characters at line 1 column 13"),
        ("roll two", "the arguments are no JSON: expected value at line 1 column 1"),
    ],
)
async def test_arguments_that_do_not_fit(asked: list[dict[str, Any]], arguments: str, problem: str) -> None:
    """Arguments are checked before the character runs, and the model receives the mistake."""
    world = World(Asked)
    assert await world.result(arguments) == f"Error: {problem}"
    assert (asked, world.sample("tool_errors_total", error_type="BadArguments")) == ([], 1)


async def test_arguments_that_are_nested_too_deeply() -> None:
    """Arguments that would exhaust the stack are none."""
    assert (await World().result("[" * 10_000)).startswith("Error: the arguments are no JSON: recursion limit exceeded")


async def test_long_complaint_is_cut() -> None:
    """The message about wrong arguments is short, however large they are."""
    assert len(await World().result(f'{{"sides": "{"x" * 90_000}"}}')) < 600


async def test_schema_is_read_in_its_own_dialect(asked: list[dict[str, Any]]) -> None:
    """A schema of an older draft is read by that draft."""
    schema = {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "type": "object",
        "properties": {"n": {"minimum": 0, "exclusiveMinimum": True}},
    }
    world = World(Asked, [{"type": "function", "function": {"name": "roll", "parameters": schema}}])
    assert (await world.result('{"n": 0}')).startswith("Error: the arguments do not fit, at $.n: ")
    assert await world.result('{"n": 1}') == "done"


async def test_schema_that_never_ends() -> None:
    """The check of arguments is under the deadline and off the event loop, since it may need billions of steps."""
    steps = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 10} for n in range(9)}
    parameters = {"type": "object", "$ref": "#/$defs/d0", "$defs": {**steps, "d9": {}}}
    world = World(tools=[{"type": "function", "function": {"name": "roll", "parameters": parameters}}], deadline=SHORT)
    assert (await world.result()).startswith("Error: the tool was not finished after 0.2 s")


async def test_pattern_that_backtracks_for_ever(asked: list[dict[str, Any]]) -> None:
    """Forty letters that no pattern with nested repetitions fits are refused like any others."""
    world = World(Asked, [tool("roll", sides={"pattern": r"^([a-z]+)+@example.com$"})])
    letters = "a" * 40
    assert (await world.result(f'{{"sides": "{letters}"}}')).startswith("Error: the arguments do not fit, at $.sides: ")
    assert await world.result('{"sides": "ada@example.com"}') == "done"
    assert asked == [{"sides": "ada@example.com"}]


# What fails


class Raising(Kind):
    error: BaseException

    def handle_tool_call(self, tool_name: str, tool_input: dict[str, Any]) -> str:
        raise self.error


class Wordless(Kind):
    def handle_tool_call(self, tool_name: str, tool_input: dict[str, Any]) -> Any:
        return {"rolled": 4}


class Looping(Kind):
    def handle_tool_call(self, tool_name: str, tool_input: dict[str, Any]) -> str:
        while True:
            time.sleep(0.001)


class Talkative(Kind):
    def handle_tool_call(self, tool_name: str, tool_input: dict[str, Any]) -> str:
        return "x" * (MOST_RESULT + 1)


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (ZeroDivisionError("no sides"), "Error: ZeroDivisionError: no sides"),
        (SystemExit(3), "Error: SystemExit: 3"),
        (KeyboardInterrupt(), "Error: KeyboardInterrupt: (raised without a message)"),
        (StopIteration(), "Error: StopIteration: (raised without a message)"),
        (GeneratorExit(), "Error: GeneratorExit: (raised without a message)"),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_tool_that_raises(error: BaseException, problem: str) -> None:
    """Any exception of a tool is the result for the model, and is counted by its class."""
    Raising.error = error
    world = World(Raising)
    assert await world.result() == problem
    assert world.sample("tool_errors_total", error_type=type(error).__name__) == 1
    assert world.sample("tool_latency_seconds_count") == 1


async def test_tool_that_raises_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The author finds the line in the log, and the model does not."""
    Raising.error = ZeroDivisionError("no sides")
    result = await World(Raising).result()
    line = Raising.handle_tool_call.__code__.co_firstlineno + 1
    assert f"character Ada failed: test_toolbox.py:{line}: ZeroDivisionError: no sides" in caplog.text
    assert "test_tools" not in result


async def test_tool_that_answers_no_text() -> None:
    """Each result is a str: a dict is an error for the author."""
    world = World(Wordless)
    assert await world.result() == ("Error: TypeError: handle_tool_call returned a value of type dict: expected a str")
    assert world.sample("tool_errors_total", error_type="TypeError") == 1


async def test_tool_that_hangs() -> None:
    """A tool over its deadline is abandoned, and the model receives the error."""
    world = World(Looping, deadline=SHORT)
    assert await world.result() == "Error: the tool was not finished after 0.2 s"
    assert world.sample("tool_errors_total", error_type="Timeout") == 1


@pytest.mark.parametrize(("tools", "known"), [((ROLL, tool("flip")), "roll, flip"), ((), "none")])
async def test_unknown_tool(tools: Sequence[Tool], known: str) -> None:
    """A model that calls an unknown tool receives the list of tools."""
    world = World(tools=tools)
    assert await world.result(name="fly") == f"Error: there is no tool 'fly'; there are: {known}"
    assert world.sample("tool_errors_total", error_type="UnknownTool") == 1


async def test_endless_result_is_cut() -> None:
    """A long result is cut, so that it can be sent to the model."""
    assert await World(Talkative).result() == "x" * MOST_RESULT


async def test_mistakes_of_the_model_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Invalid calls of the model are logged."""
    caplog.set_level("INFO")
    await World().result("{}")
    assert "tool call roll of character Ada failed: the arguments do not fit" in caplog.text


# Several


class Meeting(Kind):
    """Two calls of it end only together."""

    barrier: threading.Barrier

    def handle_tool_call(self, tool_name: str, tool_input: dict[str, Any]) -> str:
        self.barrier.wait(LIMIT)
        return f"met {tool_input['sides']}"


async def test_calls_run_at_the_same_time() -> None:
    """Calls of one message do not wait for each other, and their results are in their order."""
    Meeting.barrier = threading.Barrier(2)
    both = [FunctionCall(call_id=str(n), name="roll", arguments=f'{{"sides": {n}}}') for n in (6, 20)]
    outputs = await World(Meeting).toolbox.run_all(both)
    assert [(output.call_id, output.output) for output in outputs] == [("6", "met 6"), ("20", "met 20")]


async def test_one_failure_leaves_the_others_alone() -> None:
    """A call that fails is the result of that call only."""
    both = [FunctionCall(call_id="1", name="fly", arguments=""), FunctionCall(call_id="2", name="flip", arguments="")]
    outputs = await World(tools=[tool("flip")]).toolbox.run_all(both)
    assert [output.output[:5] for output in outputs] == ["Error", "flip "]


async def test_no_calls() -> None:
    """Nothing comes of nothing."""
    assert await World().toolbox.run_all([]) == []


# Tools of clients


def test_tools_of_a_client_stand_behind_the_characters() -> None:
    """A model is offered both; of two with one name it is offered the character's."""
    toolbox = World().toolbox
    assert toolbox.beside([tool("open_door"), tool("roll")]) == [ROLL, tool("open_door")]
    assert ("roll" in toolbox, "open_door" in toolbox) == (True, False)


# Tools of the host's own

BOTH = tuple(HOST_TOOLS)


class Butler:
    """A host that returns its calls, when it is released."""

    def __init__(self) -> None:
        self.free = asyncio.Event()
        self.free.set()
        self.error: Exception | None = None

    async def run(self, tool: str, arguments: Mapping[str, Any]) -> str:
        await self.free.wait()
        if self.error is not None:
            raise self.error
        return f"{tool} {dict(arguments)}"


async def test_the_host_carries_its_tools_out() -> None:
    """A call of a host's tool is passed to the host, not to the character, and counted like any other."""
    world = World(host_tools=BOTH, host=Butler())
    assert await world.result('{"directory": "default"}', "reload_characters") == (
        "reload_characters {'directory': 'default'}"
    )
    assert await world.result(name="roll") == "roll did [('sides', 6)]"
    assert (world.sample("tool_calls_total"), world.sample("tool_latency_seconds_count")) == (2, 2)


@pytest.mark.parametrize(
    ("host_tools", "host", "known"),
    [(BOTH, None, "roll"), ((), Butler, "roll"), (("list_characters",), Butler, "roll, list_characters")],
)
async def test_a_tool_of_the_host_that_is_not_given_is_unknown(
    host_tools: Sequence[str], host: type[Butler] | None, known: str
) -> None:
    """Without a host, or where the file does not name it, a tool of the host's is neither offered nor carried out."""
    world = World(host_tools=host_tools, host=host() if host else None)
    assert await world.result("{}", "reload_characters") == (
        f"Error: there is no tool 'reload_characters'; there are: {known}"
    )
    assert [tool["function"]["name"] for tool in world.toolbox.beside([])] == known.split(", ")
    assert "reload_characters" not in world.toolbox


def test_tools_of_the_host_win_over_those_of_a_client() -> None:
    """A client's tool that is called like one of the host's is not offered."""
    toolbox = World(host_tools=BOTH, host=Butler()).toolbox
    names = [tool["function"]["name"] for tool in toolbox.beside([tool("reload_characters"), tool("open_door")])]
    assert names == ["roll", *BOTH, "open_door"]


@pytest.mark.parametrize(
    "arguments",
    [
        '{"directory": "/tmp"}',
        '{"directory": null}',
        '{"directory": ["default"]}',
        '{"scope": "some"}',
        '{"sessions": "keep"}',
        '{"directory": "default", "dry_run": true}',
        "[]",
        "reload",
    ],
)
async def test_a_model_chooses_nothing_else(arguments: str) -> None:
    """Arguments outside the schema of a host's tool, above all a path, are not passed to the host."""
    world = World(host_tools=BOTH, host=Butler())
    assert (await world.result(arguments, "reload_characters")).startswith("Error: the arguments ")
    assert world.sample("tool_errors_total", error_type="BadArguments") == 1


async def test_what_the_host_refuses_is_read_by_the_model() -> None:
    """A refusal is the result of the call, counted by its class."""
    host = Butler()
    host.error = Stopping("The server is shutting down.")
    world = World(host_tools=BOTH, host=host)
    assert await world.result("{}", "reload_characters") == "Error: The server is shutting down."
    assert world.sample("tool_errors_total", error_type="Stopping") == 1


async def test_a_host_over_the_deadline() -> None:
    """A host's tool over its deadline goes on, and the model receives an error."""
    host = Butler()
    host.free.clear()
    world = World(host_tools=BOTH, host=host, deadline=0.01)
    assert await world.result("{}", "reload_characters") == (
        "Error: the tool was not finished after 0.01 s; it may still be running"
    )
    assert world.sample("tool_errors_total", error_type="Timeout") == 1
