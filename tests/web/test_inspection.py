"""The prompt, the tools and the source of characters."""

from __future__ import annotations

from typing import Any

import pytest

from charhost.llm.offline.model import OfflineModel
from tests.conftest import Client, character
from tests.reload.helpers import Write

TOOL = """
TOOLS = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {
    "a": {"type": "integer"}}, "required": ["a"]}}}]

def handle_tool_call(self, tool_name, tool_input):
    return str(tool_input["a"] + 1)

PromptGenerator.handle_tool_call = handle_tool_call
"""


async def loaded(client: Client, write: Write, **sources: str) -> Any:
    """Reload with these files, and return the report."""
    for stem, source in sources.items():
        write(f"{stem}.py", source)
    return await (await client.post("/v1/characters/reload", json={})).json()


async def get(client: Client, path: str, status: int = 200) -> Any:
    """Return the JSON at a path, which has to have that status."""
    response = await client.get(path)
    assert response.status == status
    return await response.json()


async def test_prompt_is_the_rendered_one(client: Client, write: Write) -> None:
    """The prompt comes with its size, the tools and the greetings."""
    await loaded(client, write, ada=character("Ada", "Be kind.") + TOOL + "GREETING = ['Hello!']")
    found = await get(client, "/v1/characters/Ada/prompt")
    assert (found["prompt"], found["generation"], found["tokens"]) == ("Be kind.", 2, 2)
    assert [tool["function"]["name"] for tool in found["tools"]] == ["add"]
    assert (found["greetings"], found["host_tools"], found["generations"]) == (["Hello!"], [], [2])


async def test_prompt_has_warnings(client: Client, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty prompt, one that fills the model's context, and a schema that is not enforced are warned of."""

    async def context_length(*_: object) -> int:
        return 4000

    monkeypatch.setattr(OfflineModel, "context_length", context_length)
    loose = TOOL.replace('{"type": "integer"}', '{"type": "string", "pattern": "(?=x)"}')
    empty = "\nPromptGenerator.make_system_prompt = lambda self: ' '"
    report = await loaded(client, write, ada=character("Ada") + empty, bob=character("Bob", "Be kind. " * 1000) + loose)
    assert report["error_count"] == 0
    warnings = [(await get(client, f"/v1/characters/{name}/prompt"))["warnings"] for name in ("Ada", "Bob")]
    assert warnings[0] == ["The prompt is empty: the model does not learn who the character is."]
    assert [warning.split(" take")[0].split(" is called")[0] for warning in warnings[1]] == [
        "The prompt and its tools",
        "The tool add",
    ]
    assert (await get(client, "/v1/characters/Bob/prompt"))["warnings"][0].endswith(
        "4,000 tokens of the model's context."
    )


async def test_prompt_of_an_earlier_generation_is_kept(client: Client, write: Write) -> None:
    """A prompt that was made is found by its generation later; one that was not made is a conflict."""
    await get(client, "/v1/characters/Ada/prompt")
    await loaded(client, write, ada=character("Ada", "Be brief."))
    await loaded(client, write, ada=character("Ada", "Be bold."))
    assert (await get(client, "/v1/characters/Ada/prompt"))["generations"] == [3, 1]
    assert (await get(client, "/v1/characters/Ada/prompt?generation=1"))["prompt"] == "Be kind."
    assert (await get(client, "/v1/characters/Ada/prompt?generation=2", 409))["code"] == "prompt_not_kept"


async def test_prompt_that_a_session_made_is_kept(client: Client, write: Write) -> None:
    """The prompt of a conversation counts, too."""
    body = {"model": "Ada", "messages": [{"role": "user", "content": "Hello"}]}
    assert (await client.post("/v1/chat/completions", json=body)).status == 200
    await loaded(client, write, ada=character("Ada", "Be bold."))
    assert (await get(client, "/v1/characters/Ada/prompt?generation=1"))["prompt"] == "Be kind."


async def test_prompt_that_fails_names_file_and_line(client: Client, write: Write) -> None:
    """An error in make_system_prompt is 422, with its place."""
    source = character("Ada") + "\nPromptGenerator.make_system_prompt = lambda self: 1 / 0"
    await loaded(client, write, ada=source)
    found = await get(client, "/v1/characters/Ada/prompt", 422)
    assert (found["code"], found["file"], found["line"]) == ("character_failed", "ada.py", source.count("\n") + 1)


async def test_prompt_of_an_unknown_character(client: Client) -> None:
    """An unknown name is 404, a generation that is no number 400."""
    assert (await get(client, "/v1/characters/Zoe/prompt", 404))["code"] == "character_not_found"
    assert (await get(client, "/v1/characters/Ada/prompt?generation=x", 400))["code"] == "invalid_request"


async def test_tool_is_called_once(client: Client, write: Write) -> None:
    """A call runs outside of any conversation, and returns what a model would see."""
    await loaded(client, write, ada=character("Ada") + TOOL)
    response = await client.post("/v1/characters/Ada/tools/add", json={"arguments": {"a": 41}})
    assert (response.status, (await response.json())["output"]) == (200, "42")
    wrong = await client.post("/v1/characters/Ada/tools/add", json={"arguments": {"a": "x"}})
    assert (await wrong.json())["output"].startswith("Error: the arguments do not fit, at $.a")


async def test_unknown_tool_is_refused(client: Client, write: Write) -> None:
    """A tool that the character has not is 404, with those that it has."""
    await loaded(client, write, ada=character("Ada") + TOOL)
    response = await client.post("/v1/characters/Ada/tools/subtract", json={})
    assert (response.status, (await response.json())["detail"]) == (404, "Ada has no tool 'subtract'; it has: add.")


async def test_source_has_the_lines_around_one(client: Client, write: Write) -> None:
    """The lines of a file that failed are shown as they were read."""
    report = await loaded(client, write, bad="a = 1\nb = 2\nc = 3\nd = 4\ne = 5\nf = (\n")
    line = report["errors"][0]["line"]
    found = await get(client, f"/v1/characters/source?file=bad.py&line={line}")
    assert (found["first"], found["lines"]) == (line - 4, ["b = 2", "c = 3", "d = 4", "e = 5", "f = ("])


async def test_source_of_other_files_is_not_found(client: Client) -> None:
    """Only files of the directory that were read are shown."""
    for path in ("../secret.py", "/etc/passwd", "none.py", ""):
        assert (await get(client, f"/v1/characters/source?file={path}", 404))["code"] == "file_not_found"
