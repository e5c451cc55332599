"""A reload of one set, and all that it must not do to another."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from charhost.web.keys import METRICS, SETS
from tests.conftest import Client, character
from tests.reload.helpers import Gate
from tests.web.two_sets import client, games, get, serve

__all__ = ["client", "games", "serve"]

RELOAD, ROLLBACK, STATUS = "/v1/characters/reload", "/v1/characters/rollback", "/v1/characters/status"


async def post(client: Client, path: str, **body: Any) -> tuple[int, Any]:
    """Return the status and the report of a reload or a rollback."""
    async with client.post(path, json=body) as response:
        return response.status, await response.json()


def value(client: Client, name: str, **labels: str) -> float | None:
    """Return a metric."""
    return client.app[METRICS].registry.get_sample_value(f"charhost_{name}", labels)


async def test_reload_is_of_the_named_set(client: Client, games: Path) -> None:
    """The report names the set; generation, objects and directory of the other stay as they are."""
    default = client.app[SETS].default.manager
    before = default.current
    (games / "zed.py").unlink()
    status, report = await post(client, RELOAD, set="gaming")
    assert (status, report["set"], report["changes"]["removed"]) == (200, "gaming", ["Zed"])
    assert default.current is before
    status, report = await post(client, RELOAD)
    assert (status, report["set"], report["directory"]) == (200, "default", before.directory)


async def test_default_directory_is_that_of_the_set(client: Client, directory: Path, games: Path) -> None:
    """`"default"` leads a set back to the directory that it started with."""
    status, report = await post(client, RELOAD, set="gaming", directory=str(directory))
    assert (status, report["directory"]) == (200, str(directory))
    status, report = await post(client, RELOAD, set="gaming", directory="default")
    assert (status, report["directory"]) == (200, str(games))


@pytest.mark.parametrize("path", [RELOAD, ROLLBACK])
async def test_unknown_set_is_not_reloaded(client: Client, path: str) -> None:
    """The refusal is a problem document, and nothing is counted."""
    status, problem = await post(client, path, set="school")
    assert (status, problem["code"]) == (404, "set_not_found")
    assert value(client, "reloads_total", trigger="http", outcome="rejected") is None


async def test_set_in_the_query_is_reloaded_too(client: Client) -> None:
    """A caller that puts the set where the status has it does not reload the default set by mistake."""
    async with client.post(f"{RELOAD}?set=gaming", json={}) as response:
        assert (await response.json())["set"] == "gaming"


async def test_only_its_own_sessions_are_closed(client: Client) -> None:
    """A reload of one set closes its sessions; those of the other are not even counted."""
    async with (
        client.ws_connect("/v1/realtime?dialect=ga&model=Ada") as ours,
        client.ws_connect("/v1/realtime?dialect=ga&model=gaming/Zed") as theirs,
    ):
        assert [(await ws.receive_json(timeout=60))["type"] for ws in (ours, theirs)] == ["session.created"] * 2
        _, report = await post(client, RELOAD, set="gaming")
        assert report["sessions"] == {"policy": "close", "total": 1, "affected": 1}
        assert (await theirs.receive_json(timeout=60))["error"]["code"] == "characters_reloaded"
        await theirs.receive(timeout=60)
        assert theirs.close_code == 1012
        await ours.send_json({"type": "session.update", "session": {"type": "realtime"}})
        assert (await ours.receive_json(timeout=60))["type"] == "session.updated"


async def test_conversations_of_the_other_set_keep_their_state(client: Client, directory: Path, games: Path) -> None:
    """A `PromptGenerator` that counts its prompts goes on counting through a reload of the other set."""
    counting = "\nclass PromptGenerator(PromptGenerator):\n    count = 0\n    def make_system_prompt(self):\n"
    counting += "        self.count += 1\n        return f'Say {self.count}.'\n"
    (games / "zed.py").write_text(character("Zed") + counting)
    await post(client, RELOAD, set="gaming")
    messages: list[dict[str, str]] = [{"role": "user", "content": "Hi"}]

    async def ask() -> None:
        body = {"model": "gaming/Zed", "messages": messages, "metadata": {"conversation_id": "one"}}
        async with client.post("/v1/chat/completions", json=body) as response:
            said = (await response.json())["choices"][0]["message"]["content"]
        messages.extend([{"role": "assistant", "content": said}, {"role": "user", "content": "Go on"}])

    await ask()
    instances = [kept.instance for kept in _continued(client)]
    await post(client, RELOAD)
    assert [kept.instance for kept in _continued(client)] == instances
    await post(client, RELOAD, set="gaming")
    assert all(kept.instance is None for kept in _continued(client))


def _continued(client: Client) -> list[Any]:
    from charhost.web.keys import CONTINUED

    return [kept.conversation for kept in client.app[CONTINUED]._kept.values() if kept.conversation is not None]


async def test_history_and_generations_are_of_the_set(client: Client, games: Path) -> None:
    """Each set counts its own generations, and rolls back to its own."""
    (games / "zed.py").write_text(character("Zed", "Lose."))
    for _ in range(2):
        await post(client, RELOAD, set="gaming")
    _, ours = await get(client, "/v1/characters/reloads")
    _, theirs = await get(client, "/v1/characters/reloads?set=gaming")
    assert (ours["generations"], theirs["generations"]) == ([1], [3, 2, 1])
    assert {report["set"] for report in theirs["reloads"]} == {"gaming"}
    reload_id = theirs["reloads"][0]["reload_id"]
    assert (await get(client, f"/v1/characters/reloads/{reload_id}"))[0] == 404
    assert (await get(client, f"/v1/characters/reloads/{reload_id}?set=gaming"))[0] == 200
    status, report = await post(client, ROLLBACK, set="gaming", generation=1)
    assert (status, report["changes"]["modified"], report["generation"]) == (200, ["Zed"], 4)
    assert (await post(client, ROLLBACK, generation=3))[1]["code"] == "unknown_generation"


async def test_etag_is_that_of_the_set(client: Client) -> None:
    """`If-Match` is compared with the current characters of the set to be reloaded."""
    async with client.get("/v1/characters?set=gaming") as response:
        etag = response.headers["ETag"]
    for body, status in (({}, 412), ({"set": "gaming"}, 200), ({"set": "gaming"}, 412)):
        async with client.post(RELOAD, json=body, headers={"If-Match": etag}) as response:
            assert response.status == status


async def test_status_and_metrics_are_of_the_set(client: Client, games: Path) -> None:
    """A refused reload of one set is red there and overall, and green in the status of the other."""
    (games / "zed.py").write_text("def broken(:")
    await post(client, RELOAD, set="gaming", on_error="abort")
    statuses = [(await get(client, f"{STATUS}?set={name}"))[1] for name in ("default", "gaming")]
    assert [(status["set"], status["last_error"] is None) for status in statuses] == [
        ("default", True),
        ("gaming", False),
    ]
    assert value(client, "set_last_reload_successful", set="default") == 1
    assert value(client, "set_last_reload_successful", set="gaming") == 0
    assert (value(client, "last_reload_successful"), value(client, "characters_loaded")) == (0, 4)
    assert (await get(client, "/v1/health"))[1]["characters"] == 4


async def test_what_is_left_running_is_that_of_the_set(client: Client, games: Path) -> None:
    """A thread that a character of one set left running is in the status of that set only."""
    end = sys.modules["end"] = ModuleType("end")
    event = end.event = threading.Event()  # type: ignore[attr-defined]
    runs = "import end, threading\nthreading.Thread(target=end.event.wait, args=[60]).start()\n"
    (games / "eve.py").write_text(runs + character("Eve"))
    await post(client, RELOAD, set="gaming")
    (games / "eve.py").unlink()
    await post(client, RELOAD, set="gaming")
    del sys.modules["end"]
    async with asyncio.timeout(60):
        while not (left := (await get(client, f"{STATUS}?set=gaming"))[1]["left_running"]):
            await asyncio.sleep(0.01)
    assert [(one["file"], one["kind"]) for one in left] == [("eve.py", "thread")]
    assert (await get(client, STATUS))[1]["left_running"] == []
    event.set()


async def test_removed_set_is_unloaded(client: Client, games: Path) -> None:
    """The characters of a set that is removed are unloaded at once."""
    end = sys.modules["end"] = ModuleType("end")
    event = end.event = threading.Event()  # type: ignore[attr-defined]
    (games / "eve.py").write_text("import end\ndef on_unload(): end.event.set()\n" + character("Eve"))
    await post(client, RELOAD, set="gaming")
    gc.disable()
    try:
        async with client.delete("/v1/sets/gaming") as response:
            assert response.status == 200
        assert await asyncio.to_thread(event.wait, 60)
    finally:
        gc.enable()
        del sys.modules["end"]


async def test_hanging_file_of_one_set_delays_no_reload_of_another(client: Client, games: Path, gate: Gate) -> None:
    """While a file of one set hangs in its load, the other set is reloaded (promise 12)."""
    (games / "zed.py").write_text(f"import gate\ngate.wait()\n{character('Zed', 'At last.')}")
    hanging = asyncio.create_task(post(client, RELOAD, set="gaming"))
    await gate.until_reached()
    status, report = await post(client, RELOAD)
    assert (status, report["set"], hanging.done()) == (200, "default", False)
    assert (await get(client, STATUS))[1]["in_progress"] is None
    assert (await get(client, f"{STATUS}?set=gaming"))[1]["in_progress"] is not None
    gate.opened.set()
    assert (await hanging)[0] == 200


async def test_metric_of_one_name_in_two_sets_is_shown_once(
    serve: Callable[..., Awaitable[Client]], directory: Path, games: Path
) -> None:
    """Copies of a file in two sets count into one metric, and both load."""
    counting = "\nfrom prometheus_client import Counter\nGAMES = Counter('ada_games', 'Games.')\nGAMES.inc()\n"
    for folder in (directory, games):
        (folder / "counting.py").write_text(character("Counting") + counting)
    client = await serve()
    async with client.get("/metrics") as response:
        lines = (await response.text()).splitlines()
    assert [line for line in lines if line.startswith("ada_games_total")] == ["ada_games_total 2.0"]


async def test_reload_over_the_socket_takes_a_set(client: Client) -> None:
    """`session.characters.reload` reloads the named set, without it that of the connection, else the default one."""
    for query, fields, reloaded in (
        ("", {"set": "gaming"}, "gaming"),
        ("&set=gaming", {}, "gaming"),
        ("", {}, "default"),
    ):
        async with client.ws_connect(f"/v1/realtime?dialect=ga{query}") as ws:
            await ws.receive_json(timeout=60)
            await ws.send_json({"type": "session.characters.reload", "sessions": "keep", **fields})
            event = await ws.receive_json(timeout=60)
            assert (event["type"], event["set"]) == ("session.characters.reloaded", reloaded)


@pytest.mark.parametrize("name", ["default", "gaming"])
async def test_saved_file_reloads_its_own_set(
    serve: Callable[..., Awaitable[Client]], directory: Path, games: Path, name: str
) -> None:
    """The watcher of a set reloads that set; the other keeps its generation."""
    client = await serve(watch=True)
    folder = {"default": directory, "gaming": games}[name]
    managers = {named.name: named.manager for named in client.app[SETS]}
    (folder / "charlotte.py").write_text(character("Charlotte", "Edited."))
    async with asyncio.timeout(60):
        while managers[name].current.generation < 2 or value(client, "watcher_up") != 1:
            await asyncio.sleep(0.01)
    assert [manager.current.generation for manager in managers.values()].count(1) == 1
    assert value(client, "set_watcher_up", set=name) == 1


async def test_prompts_of_two_sets_of_one_directory(client: Client, games: Path) -> None:
    """Each set has the prompts of its own generations, and a set that is added again none of the one before."""

    async def add_school() -> None:
        async with client.put("/v1/sets/school", json={"directory": str(games)}) as response:
            assert response.status == 201

    async def generations(of: str) -> Any:
        async with client.get(f"/v1/characters/{of}/Zed/prompt") as response:
            return (await response.json())["generations"]

    await add_school()
    assert await generations("school") == [1]
    (games / "zed.py").write_text(character("Zed", "Lose."))
    await post(client, RELOAD, set="gaming")
    assert await generations("gaming") == [2]
    await post(client, RELOAD, set="school")
    assert await generations("school") == [2, 1]
    await client.delete("/v1/sets/school")
    await add_school()
    assert await generations("school") == [1]
