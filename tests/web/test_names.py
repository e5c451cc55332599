"""The names under which clients find characters: aliases, the fields of models, the keys of voices."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse

from charhost.settings import Settings
from charhost.web.app import create_app
from tests.conftest import Client, character
from tests.reload.helpers import Write

HELLO = [{"role": "user", "content": "Hello"}]
TOOLS = """
TOOLS = [{"type": "function", "function": {"name": "roll_dice"}}]
PromptGenerator.handle_tool_call = lambda self, tool_name, tool_input: "6"
METADATA = {"comment": "Words, and where they come from."}
"""
COUNTING = """
TOOLS = [{"type": "function", "function": {"name": "roll_dice", "parameters": {"type": "object", "properties": {}}}}]


class PromptGenerator(PromptGenerator):
    throws = 0

    def handle_tool_call(self, tool_name, tool_input):
        self.throws += 1
        return f"throw {self.throws}"
"""


@pytest.fixture
async def client(client: Client, write: Write) -> Client:
    """A client of a server that serves Professor Quill beside Ada, and two characters with one voice."""
    write("quill.py", character("Professor Quill") + TOOLS)
    for name in ("Bob", "Cleo"):
        write(f"{name.lower()}.py", character(name).replace(f"voices/{name.lower()}", "voices/shared"))
    assert (await client.post("/v1/characters/reload", json={})).status == 200
    return client


async def get(client: Client, path: str) -> Any:
    """The JSON at a path."""
    return await (await client.get(path)).json()


async def test_a_model_has_the_fields_that_clients_show(client: Client) -> None:
    """A model has its alias, the comment of its author, its context length and whether it has tools."""
    models = {model["id"]: model for model in (await get(client, "/v1/models"))["data"]}
    fields = ("name", "alias", "description", "context_length", "has_tools")
    assert [models["Professor Quill"][field] for field in fields] == [
        *("Professor Quill", "professor-quill", "Words, and where they come from.", 8192, True)
    ]
    assert [models["Ada"][field] for field in fields] == ["Ada", "Ada", None, 8192, False]


async def test_an_alias_is_a_model(client: Client) -> None:
    """Each door for conversations takes the alias."""
    assert (await get(client, "/v1/models/professor-quill"))["id"] == "Professor Quill"
    chat = {"model": "professor-quill", "messages": HELLO}
    assert (await client.post("/v1/chat/completions", json=chat)).status == 200
    assert (await client.post("/v1/responses", json={"model": "professor-quill", "input": "Hello"})).status == 200
    async with client.ws_connect("/v1/realtime?model=professor-quill") as ws:
        assert (await ws.receive_json())["session"]["model"] == "Professor Quill"


async def test_an_alias_goes_on_with_the_same_conversation(client: Client, write: Write) -> None:
    """What a character keeps on `self` lasts, whichever of its two names a request has."""
    write("quill.py", character("Professor Quill") + COUNTING)
    await client.post("/v1/characters/reload", json={})
    said: list[dict[str, str]] = []
    for number, name in enumerate(("Professor Quill", "professor-quill", "Professor Quill"), 1):
        said.append({"role": "user", "content": "/roll_dice"})
        answer = await client.post("/v1/chat/completions", json={"model": name, "messages": said})
        text = (await answer.json())["choices"][0]["message"]["content"]
        assert f"throw {number}" in text
        said.append({"role": "assistant", "content": text})


async def test_a_client_secret_is_for_an_alias_too(client: Client) -> None:
    """The session that it opens is with the character of that alias."""
    session = {"type": "realtime", "model": "professor-quill"}
    answer = await client.post("/v1/realtime/client_secrets", json={"session": session})
    assert (await answer.json())["session"]["model"] == "Professor Quill"


async def test_the_task_model_has_the_fields_of_a_model(aiohttp_client: Any, settings: Settings) -> None:
    """It has an alias and a context length like all others."""
    client = await aiohttp_client(create_app(settings.model_copy(update={"task_model": "tasks"})))
    model = await get(client, "/v1/models/tasks")
    assert [model[field] for field in ("name", "alias", "context_length", "has_tools")] == [
        "tasks",
        "tasks",
        8192,
        False,
    ]


async def test_the_default_character_may_be_an_alias(aiohttp_client: Any, client: Client, settings: Settings) -> None:
    """The setting takes an alias, too."""
    named = Settings(directory=settings.directory, character="professor-quill")
    other = await aiohttp_client(create_app(named))
    async with other.ws_connect("/v1/realtime?dialect=ga") as ws:
        assert (await ws.receive_json())["session"]["model"] == "Professor Quill"


async def test_a_session_is_not_resumed_with_a_namesake(client: Client, write: Write) -> None:
    """A conversation goes on with the character of its name, not with one whose alias that is."""
    write("small.py", character("professor-quill"))
    await client.post("/v1/characters/reload", json={})
    async with client.ws_connect("/v1/realtime?model=professor-quill") as ws:
        session = (await ws.receive_json())["session"]["id"]
        write("small.py", character("Dora"))
        await client.post("/v1/characters/reload", json={})
    async with client.ws_connect(f"/v1/realtime?resume={session}") as ws:
        assert (await ws.receive_json())["error"]["code"] == "character_removed"


async def test_voices_of_one_file_have_keys_of_their_own(client: Client) -> None:
    """unmute's frontend takes the path for the key: one that two voices share becomes their names."""
    voices = {voice["name"]: voice["source"]["path_on_server"] for voice in await get(client, "/v1/voices")}
    assert voices == {"Ada": "voices/ada.wav", "Bob": "Bob", "Cleo": "Cleo"}


@pytest.mark.parametrize("name", ["Ada", "Bob", "Cleo"])
async def test_every_voice_can_be_chosen(client: Client, name: str) -> None:
    """The key in the list of voices chooses the character that it is of."""
    voices = {voice["name"]: voice["source"]["path_on_server"] for voice in await get(client, "/v1/voices")}
    async with client.ws_connect("/v1/realtime?dialect=unmute", protocols=["realtime"]) as ws:
        assert f"stand-in for {name}." in await greeting(ws, voices[name])


async def test_a_voice_of_freesound_has_a_key(client: Client, write: Write) -> None:
    """A recording that is in no file has a key as well, and keeps the fields of its author."""
    source = {"source_type": "freesound", "url": "https://example.org/1", "sound_instance": {"id": 1}}
    write("fay.py", character("Fay") + f"VOICE_SOURCE = {source}\n")
    await client.post("/v1/characters/reload", json={})
    voices = {voice["name"]: voice["source"] for voice in await get(client, "/v1/voices")}
    assert voices["Fay"] == {**source, "path_on_server": "Fay"}


async def greeting(ws: ClientWebSocketResponse, voice: str) -> str:
    """Return the greeting that a client of unmute gets for that voice."""
    session = {"instructions": None, "voice": voice, "allow_recording": False}
    await ws.send_json({"type": "session.update", "session": session})
    await ws.send_json({"type": "input_audio_buffer.append", "audio": "T2dnUw=="})
    while (event := await ws.receive_json(timeout=30))["type"] != "response.text.done":
        pass
    return str(event["text"])
