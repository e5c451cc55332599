"""With `keep` and `close_affected` a session stays on its version, or is closed."""

from __future__ import annotations

from pathlib import Path

from charhost.web.sessions.sessions import GenerationCount
from tests.conftest import Client, character
from tests.reload.helpers import Write
from tests.scripted import end
from tests.tagged import edit, tags
from tests.web.realtime.openai_client import Script, call, calling
from tests.web.realtime.server import reload
from tests.web.sessions.conversations import begin, builds, generations, script, settings

__all__ = ["script", "settings"]


async def test_keep_is_the_old_version_in_all(client: Client, script: Script, write: Write) -> None:
    """Through many reloads prompt, tools, helpers and late imports stay those of the session's start."""
    script.then(call("ask_v0", "{}"), end("tool_calls")).then("Done.")
    edit(write, "v0")
    await reload(client)
    async with calling(client) as caller:
        for number in range(1, 6):
            edit(write, f"v{number}")
            await reload(client, sessions="keep", scope="all" if number % 2 else "changed")
        await caller.respond()
        assert [tags(request) for request in script.requests] == [{"v0"}, {"v0"}]
        assert generations(client) == [GenerationCount(generation=2, sessions=1)]
        async with calling(client) as other:
            await other.respond()
    assert tags(script.requests[2]) == {"v5"}


async def test_keep_holds_one_build_until_the_session_ends(client: Client, script: Script, write: Write) -> None:
    """A build that is kept for a session is released at the session's end (promise 25)."""
    async with calling(client, model="Ada") as caller:
        await caller.respond()
        for number in range(3):
            edit(write, f"v{number}")
            await reload(client, sessions="keep")
        await builds(client, 2)
    await builds(client, 1)


async def test_keep_outlives_its_file(client: Client, script: Script, write: Write, directory: Path) -> None:
    """A session keeps a character whose file was removed, with its late imports."""
    write("bob.py", character("Bob"))
    await reload(client)
    async with calling(client) as caller:
        (directory / "ada.py").unlink()
        (directory / "_ada.py").unlink()
        report = await reload(client, sessions="keep")
        assert report["sessions"] == {"policy": "keep", "total": 1, "affected": 0}
        await caller.respond()
    assert tags(script.requests[0]) == {"one"}


async def test_follow_after_keep(client: Client, script: Script, write: Write) -> None:
    """A kept session moves on at a reload with `follow`, although its character did not change in that one."""
    async with calling(client) as caller:
        edit(write, "two")
        await reload(client, sessions="keep")
        await reload(client, sessions="follow")
        await caller.until("session.updated")
        await caller.respond()
    assert tags(script.requests[0]) == {"two"}


async def test_close_affected_closes_those_alone(client: Client, script: Script, write: Write) -> None:
    """Only sessions of the edited character are closed, and another one continues in the middle of a response (promise
    19)."""
    edit(write, "one", "Bob")
    await reload(client)
    script.then("Once", script.go)
    async with calling(client) as ada, calling(client, model="Bob") as bob:
        await begin(ada)
        edit(write, "two", "Bob")
        report = await reload(client, sessions="close_affected")
        assert report["sessions"] == {"policy": "close_affected", "total": 2, "affected": 1}
        assert (await bob.end(), bob.events[-1]["error"]["code"]) == (1012, "characters_reloaded")
        script.go.set()
        assert (await ada.until("response.done"))["response"]["status"] == "completed"
