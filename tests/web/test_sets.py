"""Sets that are added to a running server, given another directory, and removed."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from charhost.web.keys import METRICS, SETS
from tests.conftest import Client, character
from tests.reload.helpers import Gate
from tests.web.realtime.server import events
from tests.web.two_sets import client, games, get, serve

__all__ = ["client", "games", "serve"]

SCHOOL = "/v1/sets/school"


@pytest.fixture
def lessons(tmp_path: Path) -> Path:
    """A directory with Ms Frizzle, which no set has yet."""
    lessons = tmp_path / "lessons"
    lessons.mkdir()
    (lessons / "frizzle.py").write_text(character("Frizzle"))
    return lessons


async def put(client: Client, path: str, **body: Any) -> tuple[int, Any]:
    """Return the status and the document of a PUT."""
    async with client.put(path, json={name: str(value) for name, value in body.items()} | flags(body)) as response:
        return response.status, await response.json()


def flags(body: dict[str, Any]) -> dict[str, bool]:
    return {name: value for name, value in body.items() if isinstance(value, bool)}


async def delete(client: Client, path: str) -> tuple[int, Any]:
    """Return the status and the document of a DELETE."""
    async with client.delete(path) as response:
        return response.status, await response.json()


async def names(client: Client) -> list[str]:
    """Return the names of the sets."""
    return [entry["name"] for entry in (await get(client, "/v1/sets"))[1]["sets"]]


async def test_sets_are_listed_with_what_serves(client: Client, directory: Path, games: Path) -> None:
    """Each set has its directory, its generation, and how many characters it has."""
    _, found = await get(client, "/v1/sets")
    rows = [(one["name"], one["directory"], one["generation"], one["characters"]) for one in found["sets"]]
    assert rows == [("default", str(directory), 1, 2), ("gaming", str(games), 1, 2)]
    assert [(one["default_character"], one["watched"]) for one in found["sets"]] == [
        ("Ada", False),
        ("Charlotte", False),
    ]


async def test_added_set_serves_at_once(client: Client, lessons: Path) -> None:
    """The report says 201, and the next request finds the character."""
    status, report = await put(client, SCHOOL, directory=lessons)
    assert (status, report["set"], report["loaded_count"], report["generation"]) == (201, "school", 1, 1)
    assert (await get(client, "/v1/models/school/Frizzle"))[0] == 200
    assert await names(client) == ["default", "gaming", "school"]


async def test_set_with_one_bad_file_is_added(client: Client, lessons: Path) -> None:
    """The report names the file that failed; the others serve."""
    (lessons / "broken.py").write_text("def broken(:")
    status, report = await put(client, SCHOOL, directory=lessons)
    assert (status, [error["file"] for error in report["errors"]]) == (201, ["broken.py"])


@pytest.mark.parametrize(
    ("where", "status", "code"),
    [
        ("empty", 422, "no_characters"),
        ("missing", 404, "directory_not_found"),
        ("lessons/frizzle.py", 400, "not_a_directory"),
    ],
)
async def test_set_without_a_character_is_not_added(
    client: Client, lessons: Path, where: str, status: int, code: str
) -> None:
    """The refusal is that of a reload, and there is no set, no gauge and no directory of it afterwards."""
    (lessons.parent / "empty").mkdir()
    found, problem = await put(client, SCHOOL, directory=lessons.parent / where)
    assert (found, problem["code"], problem["success"]) == (status, code, False)
    assert await names(client) == ["default", "gaming"]
    assert (await get(client, "/v1/characters/status?set=school"))[0] == 404
    registry = client.app[METRICS].registry
    assert registry.get_sample_value("charhost_set_characters_loaded", {"set": "school"}) is None
    assert registry.get_sample_value("charhost_last_reload_successful") == 1


async def test_refused_set_leaves_no_history(client: Client, lessons: Path) -> None:
    """A set that is added after a refusal begins its history with the load that added it."""
    await put(client, SCHOOL, directory=lessons.parent / "missing")
    assert (await put(client, SCHOOL, directory=lessons))[0] == 201
    _, history = await get(client, "/v1/characters/reloads?set=school")
    assert [report["outcome"] for report in history["reloads"]] == ["applied"]


@pytest.mark.parametrize("name", ["School", "-school", "s" * 33, "sch_ool", "é"])
async def test_name_of_a_set_is_checked(client: Client, lessons: Path, name: str) -> None:
    """A name is of lower-case letters, digits and hyphens."""
    status, problem = await put(client, f"/v1/sets/{name}", directory=lessons)
    assert status in (400, 404)  # a path that has to be encoded is none of an admin's
    assert problem["code"] in ("invalid_request", "not_found")


@pytest.mark.parametrize("path", ["default", "lessons"])
async def test_directory_of_a_set_is_an_absolute_path(client: Client, path: str) -> None:
    """The word `default` would mean nothing."""
    assert (await put(client, SCHOOL, directory=path))[1]["code"] == "invalid_request"


async def test_allowed_roots_apply(serve: Callable[..., Awaitable[Client]], directory: Path, lessons: Path) -> None:
    """A set may be added below the roots only; one that the command line names may lie elsewhere."""
    client = await serve(allowed_roots=str(lessons.parent / "other"))
    assert (await put(client, SCHOOL, directory=lessons))[1]["code"] == "directory_not_allowed"
    assert await names(client) == ["default", "gaming"]
    async with client.post("/v1/characters/reload", json={"set": "gaming", "directory": "default"}) as response:
        assert response.status == 200


async def test_set_gets_another_directory(client: Client, games: Path, lessons: Path) -> None:
    """A second PUT moves the set, and `default` means the new directory; a refused one leaves it alone."""
    status, report = await put(client, "/v1/sets/gaming", directory=lessons)
    assert (status, report["changes"]["removed"], report["generation"]) == (200, ["Charlotte", "Zed"], 2)
    assert (await put(client, "/v1/sets/gaming", directory="/nowhere"))[0] == 404
    async with client.post("/v1/characters/reload", json={"set": "gaming", "directory": "default"}) as response:
        assert (await response.json())["directory"] == str(lessons)


async def test_same_set_again_changes_nothing(client: Client, games: Path) -> None:
    """A PUT is idempotent: the characters stay the same objects."""
    before = client.app[SETS].view().named("gaming").manager.current
    status, report = await put(client, "/v1/sets/gaming", directory=games)
    assert (status, report["outcome"]) == (200, "unchanged")
    assert client.app[SETS].view().named("gaming").manager.current is before


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_default_set_is_neither_added_nor_removed(client: Client, lessons: Path, method: str) -> None:
    """The set of `--directory` is reloaded, and stays."""
    body = {"directory": str(lessons)} if method == "PUT" else None
    async with client.request(method, "/v1/sets/default", json=body) as response:
        assert (response.status, (await response.json())["code"]) == (409, "default_set")
    assert await names(client) == ["default", "gaming"]


async def test_watched_set_follows_its_files(client: Client, lessons: Path) -> None:
    """A set may be watched where the server is not, until it is told not to be."""
    await put(client, SCHOOL, directory=lessons, watch=True)
    registry = client.app[METRICS].registry
    (lessons / "ada.py").write_text(character("Ada"))
    async with asyncio.timeout(60):
        while (await get(client, "/v1/models/school/Ada"))[0] != 200:
            await asyncio.sleep(0.01)
    async with client.post("/v1/characters/watch/resume?set=school", json={}) as response:
        assert response.status == 200
    await put(client, SCHOOL, directory=lessons, watch=False)
    assert registry.get_sample_value("charhost_set_watcher_up", {"set": "school"}) is None
    async with client.post("/v1/characters/watch/resume?set=school", json={}) as response:
        assert (await response.json())["code"] == "no_watcher"


async def test_sessions_of_a_removed_set_are_told(client: Client) -> None:
    """They receive the reason and are closed for good; a session of another set receives nothing."""
    async with (
        client.ws_connect("/v1/realtime?dialect=ga&model=Ada") as ours,
        client.ws_connect("/v1/realtime?dialect=ga&model=gaming/Zed") as theirs,
    ):
        assert [(await ws.receive_json(timeout=60))["type"] for ws in (ours, theirs)] == ["session.created"] * 2
        status, removed = await delete(client, "/v1/sets/gaming")
        assert (status, removed["sessions"]) == (200, {"policy": "close", "total": 1, "affected": 1})
        ((event,), code, reason) = await events(theirs)
        assert (event["error"]["type"], event["error"]["code"]) == ("fatal", "set_removed")
        assert event["error"]["message"] == "Character set gaming was removed."
        assert (code, reason) == (4004, "Character set gaming was removed")
        await ours.send_json({"type": "session.update", "session": {"type": "realtime"}})
        assert (await ours.receive_json(timeout=60))["type"] == "session.updated"


async def test_kept_session_of_a_removed_set_goes_on(client: Client) -> None:
    """Under `keep` a session ends when its client leaves."""
    async with client.ws_connect("/v1/realtime?dialect=ga&model=gaming/Zed") as ws:
        await ws.receive_json(timeout=60)
        _, removed = await delete(client, "/v1/sets/gaming?sessions=keep")
        assert removed["sessions"] == {"policy": "keep", "total": 1, "affected": 0}
        await ws.send_json({"type": "response.create"})
        while (event := await ws.receive_json(timeout=60))["type"] != "response.done":
            pass
        assert event["response"]["status"] == "completed"


async def test_removed_set_is_as_if_it_had_never_been(client: Client, lessons: Path) -> None:
    """Nothing finds it, its gauges are gone, and a set of that name begins at generation 1."""
    await put(client, SCHOOL, directory=lessons)
    async with client.post("/v1/characters/reload", json={"set": "school"}) as response:
        assert (await response.json())["generation"] == 2
    assert (await delete(client, SCHOOL))[0] == 200
    assert (await delete(client, SCHOOL))[1]["code"] == "set_not_found"
    assert (await get(client, "/v1/models/school/Frizzle"))[0] == 404
    async with client.post("/v1/characters/reload", json={"set": "school"}) as response:
        assert (await response.json())["code"] == "set_not_found"
    async with client.get("/metrics") as response:
        assert 'set="school"' not in await response.text()
    assert (await put(client, SCHOOL, directory=lessons))[1]["generation"] == 1


async def test_reload_that_waits_is_refused_when_its_set_is_removed(client: Client, games: Path, gate: Gate) -> None:
    """The running reload is given up after a deadline, and one that waits behind it learns that there is no set."""
    (games / "zed.py").write_text(f"import gate\ngate.wait()\n{character('Zed')}")
    running = [
        asyncio.create_task(client.post("/v1/characters/reload", json={"set": "gaming", "reason": str(n)}))
        for n in (1, 2)
    ]
    await gate.until_reached()
    assert (await delete(client, "/v1/sets/gaming"))[0] == 200
    codes = [(await (await task).json())["code"] for task in running]
    assert codes == ["set_not_found", "set_not_found"]


async def test_shutdown_ends_the_adding_of_a_set(client: Client, lessons: Path, gate: Gate) -> None:
    """A set whose load outlasts the deadline of a shutdown is not added, and neither is a later one."""
    (lessons / "frizzle.py").write_text(f"import gate\ngate.wait()\n{character('Frizzle')}")
    adding = asyncio.create_task(put(client, SCHOOL, directory=lessons))
    await gate.until_reached()
    async with asyncio.timeout(60):
        await client.app[SETS].close(0.1)
        assert (await adding)[1]["code"] == "stopping"
    gate.opened.set()
    assert (await put(client, "/v1/sets/late", directory=lessons))[1]["code"] == "stopping"
    assert await names(client) == ["default", "gaming"]


async def test_concurrent_changes_of_one_set_run_one_after_the_other(client: Client, lessons: Path) -> None:
    """Of ten callers that add the same set one adds it, and the others find it."""
    found = await asyncio.gather(*(put(client, SCHOOL, directory=lessons) for _ in range(10)))
    assert sorted(status for status, _ in found) == [200] * 9 + [201]
    assert await names(client) == ["default", "gaming", "school"]


async def test_modules_of_a_removed_set_are_freed(client: Client, lessons: Path) -> None:
    """Adding and removing leaves no module and no build behind (promise 25)."""
    await put(client, SCHOOL, directory=lessons)
    await delete(client, SCHOOL)
    before = len([name for name in sys.modules if name.startswith("characters.")])
    for _ in range(5):
        await put(client, SCHOOL, directory=lessons)
        await delete(client, SCHOOL)
    async with asyncio.timeout(60):
        while len([name for name in sys.modules if name.startswith("characters.")]) > before:
            gc.collect()
            await asyncio.sleep(0.01)


async def test_added_sets_come_back_after_a_restart(
    serve: Callable[..., Awaitable[Client]], lessons: Path, tmp_path: Path
) -> None:
    """With a state file an added set is there again, watched as before, and a removed one is not."""
    state = tmp_path / "state" / "state.db"
    state.parent.mkdir(mode=0o700)
    first = await serve(state=state)
    await put(first, SCHOOL, directory=lessons, watch=True)
    await put(first, "/v1/sets/other", directory=lessons)
    await delete(first, "/v1/sets/other")
    url = first.make_url("/v1/realtime?dialect=ga&model=school/Frizzle")
    async with ClientSession() as http, http.ws_connect(url) as ws:  # a client that the test client does not close
        session = (await ws.receive_json(timeout=60))["session"]["id"]
        await ws.send_json({"type": "session.update", "session": {"type": "realtime"}})
        await ws.receive_json(timeout=60)
        await first.close()
    second = await serve(state=state)
    _, found = await get(second, "/v1/sets")
    assert [(one["name"], one["watched"]) for one in found["sets"]] == [
        ("default", False),
        ("gaming", False),
        ("school", True),
    ]
    async with second.ws_connect(f"/v1/realtime?resume={session}") as ws:
        assert (await ws.receive_json(timeout=60))["session"]["model"] == "school/Frizzle"
