"""`charhost chat` as people use it: a process in a pipe or in a terminal, and a real server."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import signal
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web
from llmock.pytest_plugin import LLMock

from tests.conftest import character
from tests.e2e.conftest import ENVIRONMENT, PATIENCE, BlockingServer, Server, free_port, output, running
from tests.e2e.helpers import asked_for_models

CHAT = (sys.executable, "-m", "charhost", "chat")
CTRL_C, CTRL_D = "\x03", "\x04"
CREATED = {"type": "session.created", "session": {"id": "sess_1", "model": "Ada"}}
FAREWELL = {"type": "error", "error": {"code": "characters_reloaded", "message": "Bye.", "retry_after_ms": 0}}
LONG = " ".join(f"word{number}" for number in range(2000))


class Terminal:
    """A program in a terminal: its input, and its screen."""

    def __init__(self, process: asyncio.subprocess.Process, master: int) -> None:
        self.process = process
        self._output = b""
        self._master = master
        self._seen = 0
        self._news = asyncio.Event()
        asyncio.get_running_loop().add_reader(master, self._read)

    @property
    def screen(self) -> str:
        """The text shown so far, without control sequences."""
        return re.sub("\x1b\\[[0-9;]*m", "", self._output.decode(errors="replace"))

    def types(self, text: str) -> None:
        """Press some keys."""
        os.write(self._master, text.encode())

    async def shows(self, text: str) -> str:
        """Wait until *text* is shown; return the text before it, from the last time on."""
        async with asyncio.timeout(PATIENCE):
            while (found := self.screen.find(text, self._seen)) < 0:
                self._news.clear()
                await self._news.wait()
        before, self._seen = self.screen[self._seen : found], found + len(text)
        return before

    async def ends(self) -> int:
        """Wait until the program has ended by itself, and return its exit status."""
        return await asyncio.wait_for(self.process.wait(), PATIENCE)

    def _read(self) -> None:
        try:
            self._output += os.read(self._master, 1 << 16)
        except OSError:  # nobody has the other end open any more
            asyncio.get_running_loop().remove_reader(self._master)
        self._news.set()


@asynccontextmanager
async def terminal(url: str, name: str | None = "Ada") -> AsyncIterator[Terminal]:
    """A terminal in which a chat has begun."""
    names = () if name is None else (name,)
    master, slave = pty.openpty()
    with closing(os.fdopen(master, "rb")), closing(os.fdopen(slave, "rb")):
        # The first terminal that the leader of a session opens is the one whose Ctrl-C it hears.
        command = ("sh", "-c", 'exec "$@" <"$0" >"$0" 2>&1', os.ttyname(slave), *CHAT, "--url", url, *names)
        before = termios.tcgetattr(slave)
        process = await asyncio.create_subprocess_exec(*command, env=ENVIRONMENT, start_new_session=True)
        person = Terminal(process, master)
        try:
            yield person
            assert termios.tcgetattr(slave) == before
        finally:
            asyncio.get_running_loop().remove_reader(master)
            if process.returncode is None:
                process.kill()
            await process.wait()
    assert "Traceback" not in person.screen


@pytest.fixture
async def offline(directory: Path) -> AsyncIterator[Server]:
    """A server with Ada and the stand-in model."""
    async with running(directory) as server:
        yield server


@pytest.fixture
async def slow(directory: Path, llmock: LLMock) -> AsyncIterator[Server]:
    """A server with Ada and a slow model."""
    async with running(directory, "--llm-url", llmock.base_url("openai"), "--llm-model", "slow") as server:
        (await asked_for_models(llmock)).reply("Hello there!").reply(LONG).reply("Once more.").pace(20)
        yield server


async def chat(*arguments: str, stdin: str = "", **environment: str) -> tuple[int | None, str, str]:
    """Exit status, standard output and standard error of a chat through pipes."""
    return await output(*CHAT, *arguments, stdin=stdin, **environment)


# In a pipe


async def test_each_line_is_answered(server: BlockingServer) -> None:
    """Three lines of input have three replies, and status 0 at the end of the input."""
    status, out, complaint = await chat("Ada", "--url", server.url, stdin="Hello!\nWho are you?\nGoodbye!\n")
    answers = out.rstrip().splitlines()
    assert (status, complaint, len(answers)) == (0, "", 3)
    assert all(answer.startswith("Ada: ") and len(answer) > 10 for answer in answers)


async def test_blank_lines_are_not_sent(server: BlockingServer) -> None:
    """Lines without a word are passed over, and a last line without its end is a line."""
    status, out, _ = await chat("Ada", "--url", server.url, stdin="\n   \nHello!")
    assert (status, out.count("Ada: ")) == (0, 1)


async def test_no_input_has_no_reply(server: BlockingServer) -> None:
    """In a pipe without input there is no reply and no greeting."""
    status, out, complaint = await chat("Ada", "--url", server.url)
    assert (status, out.strip(), complaint) == (0, "", "")


async def test_without_a_name_the_server_chooses(server: BlockingServer) -> None:
    """Without a name the chat is with the first good character."""
    status, out, _ = await chat("--url", server.url, stdin="Hello!\n")
    assert (status, out.startswith("Ada: ")) == (0, True)


async def test_earlier_messages_are_known(server: BlockingServer) -> None:
    """All lines are one conversation."""
    _, out, _ = await chat("Zoe", "--url", server.url, stdin="My name is Xaver.\nWhat is my name?\n")
    assert "Xaver" in out.splitlines()[1]


async def test_unknown_character(server: BlockingServer) -> None:
    """An unknown name ends with 1, and the known names are printed."""
    status, out, complaint = await chat("Nobody", "--url", server.url, stdin="Hello!\n")
    assert (status, out) == (1, "")
    assert complaint == f"charhost: there is no Nobody at {server.url}; there are Ada, Zoe\n"


async def test_no_server() -> None:
    """Without a server the status is 3, with the address and the command that starts one."""
    url = f"http://127.0.0.1:{free_port()}"
    status, _, complaint = await chat("--url", url, stdin="Hello!\n")
    out = f"charhost: no server answers at {url}; start one with charhost serve, or name it with --url\n"
    assert (status, complaint) == (3, out)


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "localhost:8000", "ftp://127.0.0.1/", "http://"])
async def test_what_is_no_address(url: str) -> None:
    """An address of no web server is one line, too."""
    status, _, complaint = await chat("--url", url)
    assert (status in (2, 3), complaint != "", "Traceback" in complaint) == (True, True, False)


async def test_bad_settings() -> None:
    """A key file that is not there: status 2, as for every command."""
    status, _, complaint = await chat(CHARHOST_API_KEY_FILE="/nowhere")
    assert (status, complaint.startswith("charhost: CHARHOST_API_KEY_FILE (--api-key-file): ")) == (2, True)


async def test_key_comes_from_the_environment(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A required key is read from CHARHOST_API_KEY; a wrong or missing one is status 4 with the reason."""
    monkeypatch.setitem(ENVIRONMENT, "CHARHOST_API_KEY", "s3cret")
    async with running(directory) as server:
        allowed, out, _ = await chat("Ada", "--url", server.url, stdin="Hello!\n")
        refused, _, complaint = await chat("Ada", "--url", server.url, CHARHOST_API_KEY="wrong")
        monkeypatch.delitem(ENVIRONMENT, "CHARHOST_API_KEY")
        unknown, _, missing = await chat("Ada", "--url", server.url)
    assert (allowed, refused, unknown) == (0, 4, 4)
    assert out.startswith("Ada: ")
    source = "  The key is read from CHARHOST_API_KEY or CHARHOST_API_KEY_FILE."
    assert complaint.splitlines()[1:] == ["  The API key is wrong.", source]
    assert missing.splitlines()[1:] == ["  The API key is missing: send Authorization: Bearer KEY.", source]


async def test_failed_response_is_reported_and_the_conversation_continues(directory: Path, llmock: LLMock) -> None:
    """A failure of the model is printed instead of the reply, and the chat continues."""
    async with running(directory, "--llm-url", llmock.base_url("openai"), "--llm-model", "x") as server:
        (await asked_for_models(llmock)).fail(500).reply("Now I can.")
        status, out, _ = await chat("Ada", "--url", server.url, stdin="Hello!\nAnd now?\n")
    first, second = out.rstrip().splitlines()
    assert (status, first[:7], first[-1]) == (0, "Ada:  (", ")")
    assert second == "Ada: Now I can."


# In a terminal


async def test_character_speaks_first(offline: Server) -> None:
    """The greeting is printed before the first prompt for input."""
    async with terminal(offline.url) as person:
        assert len((await person.shows("You: ")).removeprefix("Ada: ")) > 10
        person.types("What do you like?\n")
        await person.shows("What do you like?\r\nAda: ")
        assert len(await person.shows("You: ")) > 10


async def test_ctrl_d_ends_the_conversation(offline: Server) -> None:
    """Ctrl-D at the prompt is status 0, with the cursor on a line of its own."""
    async with terminal(offline.url) as person:
        await person.shows("You: ")
        person.types(CTRL_D)
        assert await person.ends() == 0
        assert person.screen.endswith("\n")


async def test_ctrl_c_at_the_prompt_ends_the_conversation(offline: Server) -> None:
    """Ctrl-C at the prompt ends without a traceback, with the cursor on a line of its own."""
    async with terminal(offline.url) as person:
        await person.shows("You: ")
        person.types(CTRL_C)
        assert await person.ends() in (0, 130)
        assert person.screen.endswith("\n")


async def test_ctrl_c_ends_only_the_answer(slow: Server, llmock: LLMock) -> None:
    """Ctrl-C during a reply ends it, and the next line has a reply."""
    async with terminal(slow.url) as person:
        await person.shows("Hello there!")
        await person.shows("You: ")
        person.types("Tell me all.\n")
        await person.shows("word3")
        person.types(CTRL_C)
        assert "word1999" not in await person.shows("…\r\nYou: ")
        person.types("Again?\n")
        await person.shows("Once more.")
        person.types(CTRL_D)
        assert await person.ends() == 0
    assert [m["content"] for m in llmock.last_request.body["messages"]][-1] == "Again?"


async def test_second_ctrl_c_ends_the_conversation(slow: Server) -> None:
    """A second Ctrl-C, at the prompt for input, ends the chat."""
    async with terminal(slow.url) as person:
        await person.shows("You: ")
        person.types("Tell me all.\n")
        await person.shows("word3")
        person.types(CTRL_C)
        await person.shows("…\r\nYou: ")
        person.types(CTRL_C)
        assert await person.ends() in (0, 130)


async def reload(server: Server) -> None:
    """Reload, over HTTP."""
    async with ClientSession() as http, http.post(f"{server.url}/v1/characters/reload", json={}) as answer:
        assert answer.status == 200


async def test_reload_is_reported_and_the_conversation_continues(offline: Server, directory: Path) -> None:
    """A reload is printed, and the conversation continues on a new socket without a greeting."""
    async with terminal(offline.url) as person:
        await person.shows("You: ")
        (directory / "ada.py").write_text(character("Ada", "You are new."))
        await reload(offline)
        await person.shows(f"Characters reloaded from {directory}. Please reconnect.")
        person.types("Are you still there?\n")
        await person.shows("Ada: ")
        assert len(await person.shows("You: ")) > 10
        assert person.screen.count("Ada: ") == 2


async def test_reload_in_the_middle_of_an_answer(slow: Server) -> None:
    """A reload during a reply ends it and is printed, and the next line has a reply."""
    async with terminal(slow.url) as person:
        await person.shows("You: ")
        person.types("Tell me all.\n")
        await person.shows("word3")
        await reload(slow)
        await person.shows("Please reconnect.")
        person.types("Again?\n")
        await person.shows("Once more.")


async def bid_farewell(ws: web.WebSocketResponse) -> None:
    """End a session as a reload does."""
    await ws.send_json(FAREWELL)
    await ws.close(code=1012)


async def respond(ws: web.WebSocketResponse, text: str) -> None:
    """Send a whole response."""
    await ws.send_json({"type": "response.created"})
    await ws.send_json({"type": "response.output_text.delta", "delta": text})
    await ws.send_json({"type": "response.output_item.done", "item": {"id": "item_1"}})
    await ws.send_json({"type": "response.done", "response": {"status_details": None}})


async def test_line_that_meets_a_reload_is_answered(aiohttp_server: Any) -> None:
    """A line that was sent to an ending session is sent again after the resume."""
    kinds: list[str] = []
    resumed: list[str | None] = []

    async def realtime(request: web.Request) -> web.WebSocketResponse:
        resumed.append(request.query.get("resume"))
        ws = web.WebSocketResponse(protocols=("realtime",))
        await ws.prepare(request)
        await ws.send_json(CREATED)
        async for message in ws:
            kinds.append(message.json()["type"])
            if len(kinds) == 2:
                await bid_farewell(ws)
            elif len(kinds) == 4:
                await respond(ws, "Hello!")
        return ws

    app = web.Application()
    app.add_routes([web.get("/v1/realtime", realtime)])
    status, out, _ = await chat("--url", str((await aiohttp_server(app)).make_url("/")), stdin="Hello?\n")
    assert (status, out.rstrip()) == (0, "Ada: Hello!")
    assert kinds == ["conversation.item.create", "response.create"] * 2
    assert resumed == [None, "sess_1"]


@pytest.mark.parametrize(
    ("line", "result", "events"),
    [
        ("Are you there?", "Ada: Hello!", ["conversation.item.create", "response.create"]),
        ("/again", "Ada: Hello!", ["conversation.item.delete", "response.create"]),
        ("/prompt", "Be kind.", []),
    ],
)
async def test_line_typed_while_a_session_ends_is_carried_out(
    line: str, result: str, events: list[str], aiohttp_server: Any
) -> None:
    """A line whose session ended before the line had an effect is carried out in the next session."""
    typed, resumed = asyncio.Event(), asyncio.Event()
    lookups: list[str] = []
    received: list[str] = []

    async def lookup(request: web.Request) -> web.Response:
        lookups.append(request.path)
        if len(lookups) == 2:  # that of the line
            typed.set()
            await resumed.wait()
        return web.json_response({"generation": 1, "prompt": "Be kind."})

    async def realtime(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(protocols=("realtime",))
        await ws.prepare(request)
        await ws.send_json(CREATED)
        if "resume" in request.query:
            resumed.set()
        async for message in ws:
            received.append(message.json()["type"])
            if received[-1] == "response.create":
                await respond(ws, "Hello!")
                await typed.wait()
                if not resumed.is_set():
                    await bid_farewell(ws)
        return ws

    app = web.Application()
    app.add_routes([web.get("/v1/realtime", realtime), web.get("/v1/characters/{path:.+}", lookup)])
    async with terminal(str((await aiohttp_server(app)).make_url("/"))) as person:
        await person.shows("You: ")
        person.types(f"{line}\n")
        await person.shows("Bye.")
        await person.shows(result)
    assert received == ["response.create", *events]


async def test_character_is_chosen_from_a_list(offline: Server, directory: Path) -> None:
    """Without a name the characters are listed; one is chosen by its number, or else by its name."""
    (directory / "bob.py").write_text(character("Bob"))
    await reload(offline)
    for choice in ("2", "Bob"):
        async with terminal(offline.url, name=None) as person:
            assert "  1 Ada" in await person.shows("Talk to (1-2, or a name): ")
            person.types(f"{choice}\n")
            await person.shows("Bob: ")
            await person.shows("You: ")


async def test_words_of_its_own(offline: Server) -> None:
    """/help, /prompt and /again are obeyed, another /word goes to the character, and /quit ends."""
    async with terminal(offline.url) as person:
        await person.shows("You: ")
        person.types("/help\n")
        await person.shows("/again has the last answer replaced")
        await person.shows("You: ")
        person.types("/prompt\n")
        await person.shows("Be kind.")
        await person.shows("You: ")
        person.types("What do you like?\n")
        await person.shows("Ada: ")
        await person.shows("You: ")
        person.types("/again\n")
        await person.shows("Ada: ")
        await person.shows("You: ")
        person.types("/dance\n")
        await person.shows("Ada: ")
        await person.shows("You: ")
        person.types("/quit\n")
        assert await person.ends() == 0


async def test_again_replaces_the_answer(slow: Server, llmock: LLMock) -> None:
    """The model is asked once more with the same messages: the first answer is forgotten."""
    llmock.pace(0)
    status, out, _ = await chat("Ada", "--url", slow.url, stdin="Hello!\n/again\n")
    assert (status, out.count("Ada: ")) == (0, 2)
    first, second = [record.body["messages"] for record in llmock.requests if record.body]
    assert first == second


async def test_reload_is_one_line(offline: Server, directory: Path) -> None:
    """After a reload that changed the character a line says which generation is new."""
    async with terminal(offline.url) as person:
        await person.shows("You: ")
        (directory / "ada.py").write_text(character("Ada", "Be bold."))
        await reload(offline)
        await person.shows("(Ada is new: generation 2)")


async def test_character_that_is_gone_ends_the_conversation(offline: Server, directory: Path) -> None:
    """When the file was removed, the new session is refused with a sentence, and that is status 1."""
    async with terminal(offline.url) as person:
        await person.shows("You: ")
        (directory / "ada.py").rename(directory / "bob.py")
        (directory / "bob.py").write_text(character("Bob"))
        await reload(offline)
        await person.shows("'Ada'")
        assert await person.ends() == 1


async def test_restart_is_survived(directory: Path, tmp_path: Path) -> None:
    """A restarted server with a state file is waited for, until Ctrl-C, and has the conversation."""
    options = ("--state", str(tmp_path / "state.db"), "--port", free_port())
    async with running(directory, *options) as server, terminal(server.url) as person:
        await person.shows("You: ")
        person.types("My name is Xaver.\n")
        await person.shows("You: ")
        assert await server.stop() == 0
        await person.shows("(the server went away; waiting for it)")
        async with running(directory, *options):
            person.types("What is my name?\n")
            await person.shows("Ada: ")
            assert "Xaver" in await person.shows("You: ")
            assert person.screen.count("the server went away") == 1
        await person.shows("(the server went away; waiting for it)")
        person.types(CTRL_C)
        assert await person.ends() in (0, 130)


async def test_server_that_forgets_ends_the_conversation(slow: Server, directory: Path) -> None:
    """After a kill of a server without a state file, the chat ends and prints how to keep conversations."""
    async with terminal(slow.url) as person:
        await person.shows("You: ")
        person.types("Tell me all.\n")
        await person.shows("word3")
        await slow.stop(signal.SIGKILL)
        await person.shows(" …\r\n(the server went away; waiting for it)")
        async with running(directory, "--port", slow.url.rpartition(":")[2]):
            await person.shows(
                f"charhost: {slow.url} is back, but it does not remember this conversation: start it with"
            )
            assert await person.ends() == 1


async def test_server_that_stays_away_is_given_up(aiohttp_server: Any) -> None:
    """A line at which the server always goes away is sent a few times, and no more."""
    resumed: list[str | None] = []

    async def realtime(request: web.Request) -> web.StreamResponse:
        resumed.append(request.query.get("resume"))
        if len(resumed) == 2:
            return web.Response(status=502)
        ws = web.WebSocketResponse(protocols=("realtime",))
        await ws.prepare(request)
        await ws.send_json(CREATED)
        await ws.receive()
        await ws.close(code=1001)
        return ws

    app = web.Application()
    app.add_routes([web.get("/v1/realtime", realtime)])
    url = str((await aiohttp_server(app)).make_url("")).rstrip("/")
    code = "import charhost.cli.chat as chat; from charhost.cli import main; chat._PAUSES = (0, 0); main()"
    status, _, complaint = await output(sys.executable, "-c", code, "chat", "--url", url, stdin="Hello?\n")
    expected = ["(the server went away; waiting for it)", f"charhost: {url} went away and did not come back"]
    assert (status, complaint.splitlines()) == (3, expected)
    assert resumed == [None, "sess_1", "sess_1"]
