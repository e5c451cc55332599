"""The host's own tools, alone and called by a model in a conversation over a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, get_args

import pytest

from charhost.character.host_tools import HOST_TOOLS
from charhost.errors import ReloadRejected, ToolRefused
from charhost.reload.manager import CharacterManager
from charhost.reload.reload_tools import LEAST_DRAIN, HostTools, ReloadArguments
from charhost.reload.request import ReloadRequest
from charhost.report import ReloadReport, Scope
from charhost.settings import Settings
from charhost.web.keys import CONVERSATIONS, METRICS, SESSIONS, SETS
from tests.conftest import Client, character
from tests.reload.helpers import Write
from tests.scripted import end
from tests.web.realtime.openai_client import DIALECTS, LIMIT, REALTIME, WEATHER, Caller, Script, call, calling
from tests.web.realtime.server import StartClient, start, until
from tests.web.realtime.slow_store import FOREIGN, generation, slowed
from tests.web.realtime.unmute_events import OGG_PAGE

__all__ = ["start"]

NAMED = "HOST_TOOLS = ['reload_characters', 'list_characters']\n"
UNKNOWN = "Error: there is no tool 'reload_characters'; there are: none"


def reports(manager: CharacterManager) -> list[ReloadReport]:
    """Return a list that each later attempt is appended to."""
    found: list[ReloadReport] = []
    manager.listen(found.append)
    return found


# Alone


async def test_the_list_is_json(manager: CharacterManager, write: Write, directory: Path) -> None:
    """`list_characters` returns JSON with the directory, the generation and the characters."""
    write("bob.py", character("Bob") + "METADATA = {'comment': 'Says little.'}")
    await manager.reload_characters()
    returned = json.loads(await HostTools(manager, 0).run("list_characters", {}))
    assert returned == {
        "directory": str(directory),
        "generation": 2,
        "characters": [
            {"name": "Ada", "good": True, "comment": None},
            {"name": "Bob", "good": None, "comment": "Says little."},
        ],
    }


@pytest.mark.parametrize("scope", get_args(Scope))
async def test_a_reload_returns_its_message(manager: CharacterManager, write: Write, scope: str) -> None:
    """`reload_characters` returns the message of the report, and each failed file with its line."""
    write("bob.py", "X = 1\n1 / 0")
    found = reports(manager)
    returned = await HostTools(manager, 0).run("reload_characters", {"scope": scope})
    (report,) = found
    assert returned == f"{report.message}\nbob.py:2: ZeroDivisionError: division by zero"
    assert (report.trigger, report.scope) == ("tool", scope)


async def test_a_refused_reload_is_raised(manager: CharacterManager, write: Write) -> None:
    """A refused reload raises an error whose text names the failed files."""
    write("ada.py", "1 / 0")
    with pytest.raises(ReloadRejected, match=r"No character could be loaded[^\n]*\n  ada.py:1: ZeroDivisionError"):
        await HostTools(manager, 0).run("reload_characters", {})


@pytest.mark.parametrize(("asked", "place"), [({}, "other"), ({"directory": "current"}, "other"), (None, "characters")])
async def test_only_known_directories(
    manager: CharacterManager, tmp_path: Path, asked: dict[str, str] | None, place: str
) -> None:
    """A model can reload the current directory or the one of the start."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "zoe.py").write_text(character("Zoe"))
    await manager.reload_characters(ReloadRequest(directory=str(tmp_path / "other")))
    await HostTools(manager, 0).run("reload_characters", {"directory": "default"} if asked is None else asked)
    assert (manager.current.directory, manager.current.generation) == (str(tmp_path / place), 3)


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("reload_characters", {"directory": "/tmp"}),
        ("reload_characters", {"directory": None}),
        ("reload_characters", {"directory": ["default"]}),
        ("reload_characters", {"scope": "some"}),
        ("reload_characters", {"sessions": "keep"}),
        ("reload_characters", {"trigger": "http"}),
        ("shutdown", {}),
    ],
)
async def test_nothing_else_can_be_chosen(manager: CharacterManager, tool: str, arguments: dict[str, Any]) -> None:
    """A path, another field of a reload, or an unknown tool is refused, and no reload is tried."""
    found = reports(manager)
    with pytest.raises(ToolRefused):
        await HostTools(manager, 0).run(tool, arguments)
    assert found == []


def test_the_schema_is_what_is_obeyed() -> None:
    """The schema of the tools has exactly the arguments that they accept."""
    parameters = HOST_TOOLS["reload_characters"]["function"]["parameters"]
    assert {name: (field["enum"], field["default"]) for name, field in parameters["properties"].items()} == {
        name: (list(get_args(field.annotation)), field.default) for name, field in ReloadArguments.model_fields.items()
    }
    assert {name: tool["function"]["name"] for name, tool in HOST_TOOLS.items()} == {name: name for name in HOST_TOOLS}


@pytest.mark.parametrize(("setting", "drain"), [(0, LEAST_DRAIN), (90, 90)])
async def test_the_answer_may_be_finished(
    manager: CharacterManager, monkeypatch: pytest.MonkeyPatch, setting: float, drain: float
) -> None:
    """The drain of a reload by a tool has a lower bound, so that the current response can finish."""
    swaps: list[Any] = []
    monkeypatch.setattr(manager._sessions, "follow", swaps.append)
    await HostTools(manager, setting).run("reload_characters", {})
    assert [(swap.drain, swap.policy) for swap in swaps] == [(drain, "close")]


# In a conversation


@pytest.fixture
def settings(directory: Path, write: Write) -> Settings:
    """Settings that serve Ada, who names the host's tools."""
    write("ada.py", character("Ada") + NAMED)
    return Settings(directory=directory)


@pytest.fixture
async def script(client: Client) -> Script:
    """A scripted model that calls the reload tool, and then replies."""
    client.app[CONVERSATIONS].models = script = calls_reload()
    return script


def calls_reload() -> Script:
    """Return a model that calls the reload tool, and then replies."""
    return Script().then(call("reload_characters", "{}"), end("tool_calls")).then("Done.")


@asynccontextmanager
async def from_afar(client: Client) -> AsyncIterator[Caller]:
    """A connected client without admin rights."""
    async with client.ws_connect(REALTIME, params={"dialect": "ga"}, headers=FOREIGN) as ws:
        caller = Caller(ws, "ga")
        await caller.next()
        yield caller


def offered(script: Script, request: int = 0) -> list[str]:
    """Return the names of the tools that a model request offered."""
    return [tool["function"]["name"] for tool in script.requests[request].tools]


def result(script: Script) -> str:
    """Return the result of the tool call that the model received."""
    message = script.messages[-1]
    assert message["role"] == "tool"
    return str(message["content"])


@DIALECTS
async def test_the_answer_is_finished_before_its_own_reload_ends_the_session(
    client: Client, script: Script, dialect: Any
) -> None:
    """The model receives the report and finishes its response; then the client gets the event and close code 1012."""
    async with calling(client, dialect) as caller:
        done = await caller.respond()
        assert await caller.end() == 1012
    assert (done["status"], done["output"][0]["content"][0]["text"]) == ("completed", "Done.")
    assert result(script).startswith("Successfully loaded 1 character from ")
    assert caller.events[-1]["error"]["code"] == "characters_reloaded"
    assert client.app[METRICS].reloads.labels("tool", "applied")._value.get() == 1


async def test_unmutes_clients_have_the_tools_too(client: Client, script: Script) -> None:
    """A client of the Unmute dialect with admin rights has the host's tools."""
    async with client.ws_connect("/v1/realtime?dialect=unmute") as ws:
        await ws.send_json({"type": "session.update", "session": {"allow_recording": False}})
        await ws.send_json({"type": "input_audio_buffer.append", "audio": OGG_PAGE})
        while (message := await ws.receive(timeout=LIMIT)).data != 1012:
            assert message.data is not None
    assert offered(script) == list(HOST_TOOLS)
    assert client.app[SETS].default.manager.current.generation == 2


async def test_a_conversation_that_follows_goes_on(start: StartClient, write: Write) -> None:
    """With `follow` the next response is the new version's, here without the host's tools."""
    write("ada.py", character("Ada") + NAMED)
    client = await start(sessions="follow")
    client.app[CONVERSATIONS].models = script = calls_reload()
    async with calling(client) as caller:
        write("ada.py", character("Ada"))
        await caller.respond()
        await caller.respond()
    assert [offered(script, request) for request in range(3)] == [list(HOST_TOOLS), list(HOST_TOOLS), []]


async def test_they_are_not_offered_without_admin_rights(client: Client, script: Script) -> None:
    """Without admin rights the host's tools are not offered, and a call of one is a call of an unknown tool."""
    async with from_afar(client) as caller:
        await caller.respond()
    assert (offered(script), result(script)) == ([], UNKNOWN)
    assert client.app[SETS].default.manager.current.generation == 1


async def test_a_client_that_is_no_admin_may_have_a_tool_of_that_name(client: Client, script: Script) -> None:
    """Without admin rights a client's own tool of that name is called."""
    async with from_afar(client) as caller:
        await caller.update(tools=[WEATHER | {"name": "reload_characters"}])
        assert (await caller.respond())["output"][0]["name"] == "reload_characters"


async def test_an_admins_client_cannot_take_the_name(client: Client, script: Script) -> None:
    """With admin rights the host's tool wins over a client's tool of the same name."""
    async with calling(client) as caller:
        await caller.update(tools=[WEATHER | {"name": "reload_characters"}, WEATHER])
        assert [item["type"] for item in (await caller.respond())["output"]] == ["message"]
    assert offered(script) == [*HOST_TOOLS, "get_weather"]


async def test_chat_completions_never_have_them(client: Client, script: Script) -> None:
    """A chat completion offers no host tools, also to an admin."""
    body = {"model": "Ada", "messages": [{"role": "user", "content": "Reload!"}]}
    assert (await client.post("/v1/chat/completions", json=body)).status == 200
    assert (offered(script), result(script)) == ([], UNKNOWN)


@pytest.mark.parametrize(("before", "after"), [({}, FOREIGN), (FOREIGN, {})])
async def test_a_resumed_session_has_the_tools_of_its_new_client(
    client: Client, script: Script, before: dict[str, str], after: dict[str, str]
) -> None:
    """A resumed session has the host's tools by the rights of the client that resumes it."""
    async with client.ws_connect("/v1/realtime?dialect=ga", headers=before):
        await until(lambda: len(client.app[SESSIONS]))
        (session_id,) = client.app[SESSIONS]._live
        async with client.ws_connect(f"/v1/realtime?dialect=ga&resume={session_id}", headers=after) as ws:
            await ws.send_json({"type": "response.create"})
            while (await ws.receive_json(timeout=LIMIT))["type"] != "response.done":
                pass
    assert offered(script) == ([] if after else list(HOST_TOOLS))


@pytest.mark.parametrize("leaves", [False, True])
async def test_the_end_of_the_answer_does_not_stop_the_reload(client: Client, script: Script, leaves: bool) -> None:
    """A reload goes on when the response is cancelled or the client leaves."""
    store = slowed(client)
    found = reports(client.app[SETS].default.manager)
    first = asyncio.create_task(client.app[SETS].default.manager.reload_characters(ReloadRequest(sessions="keep")))
    await asyncio.wait_for(store.asked.wait(), LIMIT)
    async with calling(client) as caller:
        await caller.ask("response.create")
        await until(lambda: len(client.app[SETS].default.manager._queue._tasks) == 2)
        if not leaves:
            await caller.send("response.cancel")
            assert (await caller.until("response.done"))["response"]["status"] == "cancelled"
    store.go.set()
    await first
    await generation(client, 3)
    assert [report.trigger for report in found] == ["http", "tool"]


async def test_a_reload_over_the_deadline_goes_on(start: StartClient, write: Write) -> None:
    """A reload over the deadline of a tool call goes on, and the model receives an error."""
    write("ada.py", character("Ada") + NAMED)
    client = await start(tool_deadline=0.05, sessions="keep")
    client.app[CONVERSATIONS].models = script = calls_reload()
    store = slowed(client)
    first = asyncio.create_task(client.app[SETS].default.manager.reload_characters())
    await asyncio.wait_for(store.asked.wait(), LIMIT)
    async with calling(client) as caller:
        assert (await caller.respond())["status"] == "completed"
        assert result(script) == "Error: the tool was not finished after 0.05 s; it may still be running"
        store.go.set()
        await first
        await generation(client, 3)
