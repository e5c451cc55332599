"""`charhost serve --watch` on directories that real tools edit."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from charhost.loading.fingerprint import fingerprints
from charhost.loading.snapshot import Limits, take_snapshot
from charhost.report import DEFAULT_SET
from charhost.text import display
from scripts.benchmarks import processes
from tests.conftest import character
from tests.e2e.conftest import UNTAPPED, set_options
from tests.e2e.helpers import may
from tests.e2e.server_process import start_server
from tests.reload.helpers import Write
from tests.web.named_set import BOTH

PATIENCE = 180.0
LIMITS = Limits(files=20_000, bytes=64 << 20, file_bytes=1 << 20)


def on_disk(directory: Path) -> dict[str, str]:
    """The fingerprint of each file of a directory whose files all load."""
    found = fingerprints(take_snapshot(directory, LIMITS))
    return {display(path): fingerprint for path, fingerprint in found.items()}


def run(command: str, cwd: Path) -> None:
    """Run a line of shell; raises if it fails."""
    subprocess.run(["sh", "-euc", command], cwd=cwd, check=True, capture_output=True)


async def eventually(fact: Callable[[], Any]) -> None:
    """Wait for something in another process."""
    async with asyncio.timeout(PATIENCE):
        while not fact():
            await asyncio.sleep(0.02)


class Server:
    """A running `charhost serve --watch`: the set of a directory, the log, and a client."""

    def __init__(self, set_name: str, directory: Path, log: Path, port: int, client: aiohttp.ClientSession) -> None:
        self._set = {} if set_name == DEFAULT_SET else {"set": set_name}
        self.directory = directory
        self._log = log
        self._url = f"http://127.0.0.1:{port}"
        self._client = client

    def log(self) -> str:
        """Return the log of the server so far."""
        return self._log.read_text(errors="replace")

    async def get(self, path: str) -> Any:
        """Return the JSON document at a path, of the set."""
        async with self._client.get(self._url + path, params=self._set) as answer:
            return await answer.json()

    async def equal(self) -> None:
        """Wait until `GET /v1/characters` equals the files on the disk."""
        async with asyncio.timeout(PATIENCE):
            while await self._served() != on_disk(self.directory):
                await asyncio.sleep(0.02)

    async def _served(self) -> dict[str, str]:
        return {one["file"]: one["fingerprint"] for one in (await self.get("/v1/characters"))["characters"]}

    async def talk(self, name: str) -> aiohttp.ClientWebSocketResponse:
        """Open a session with a character."""
        ws = await self._client.ws_connect(f"{self._url}/v1/realtime", params={"model": name, **self._set})
        assert (await ws.receive_json(timeout=PATIENCE))["type"] == "session.created"
        return ws


async def ended(ws: aiohttp.ClientWebSocketResponse) -> tuple[str, int | None]:
    """Wait for the end of a session: the code of its last event, and that of its close frame."""
    event = json.loads((await ws.receive(timeout=PATIENCE)).data)
    await ws.receive(timeout=PATIENCE)
    return event["error"]["code"], ws.close_code


Serving = Callable[..., AbstractAsyncContextManager[Server]]


@pytest.fixture(params=BOTH)
def serving(request: pytest.FixtureRequest) -> Serving:
    """Serves a directory as the default set, or as a named one."""
    return partial(_serving, request.param)


@asynccontextmanager
async def _serving(set_name: str, directory: Path, *options: str, before: str = "") -> AsyncIterator[Server]:
    """Serve *directory* in a process of its own, made by the shell after it ran *before*."""
    port, log = processes.free_port(), directory.with_name("server.log")
    options = ("--watch", *set_options(set_name, directory), "--port", str(port), *options)
    shell = ("unshare", "-Urm", "sh", "-euc", f'{before}\nexec "$@"', "sh") if before else ()
    process = start_server(*options, output=log, environment=UNTAPPED, before=shell)
    try:
        async with aiohttp.ClientSession() as client:
            server = Server(set_name, directory, log, port, client)
            await eventually(lambda: "listens on" in server.log() or process.poll() is not None)
            assert process.poll() is None, server.log()
            await eventually(lambda: f"watching the character directory {directory}\n" in server.log())
            await asyncio.sleep(0.1)  # it is armed on another thread
            yield server
    finally:
        process.terminate()
        process.wait(PATIENCE)


# Each line is what a person or a tool does in the directory `characters`.
COMMANDS = {
    "mv-over": "sed s/kind/dull/ ada.py > .ada.tmp && mv .ada.tmp ada.py",
    "sed-in-place": "sed -i s/kind/dull/ ada.py",
    "cp": "cp ada.py eve.py && sed -i s/Ada/Eve/ eve.py",
    "append": "echo '# the end' >> ada.py",
    "rm": "rm bob.py",
    "mv": "mv bob.py robert.py",
    "mkdir-and-move": "mkdir -p ../new/deep && echo X=1 > ../new/deep/x.py && mv ../new resources && cp ada.py eve.py"
    " && sed -i 's/Ada/Eve/;1ifrom characters.resources.deep import x' eve.py",
    "tar": "tar cf ../all.tar . && rm *.py && tar xf ../all.tar && sed -i s/kind/dull/ ada.py",
    "rm-r-and-again": "cd .. && cp -r characters copy && rm -r characters && sleep 0.05 && mv copy characters"
    " && sed -i s/kind/dull/ characters/ada.py",
}


async def test_set_ends_equal_to_the_disk(directory: Path, write: Write, serving: Serving) -> None:
    """Whatever tool edits the directory, the set ends equal to it (promise 21)."""
    write("bob.py", character("Bob"))
    shutil.copytree(directory, directory.with_name("original"))
    async with serving(directory) as server:
        for command in COMMANDS.values():
            run(command, directory)
            await server.equal()
            run("rm -rf characters && cp -r original characters", directory.parent)
            await server.equal()


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
async def test_git_checkout(directory: Path, write: Write, serving: Serving) -> None:
    """Branches are checked out one after the other, and each is served."""
    git = "git -c user.name=t -c user.email=t@localhost -c commit.gpgsign=false"
    run(f"git init -q -b main && git add . && {git} commit -qm 1 && git checkout -qb other", directory)
    write("bob.py", character("Bob"))
    write("ada.py", character("Ada", "Of the branch."))
    run(f"git add . && {git} commit -qm 2", directory)
    async with serving(directory) as server:
        for branch in ("main", "other", "main"):
            run(f"git checkout -q {branch}", directory)
            await server.equal()


@pytest.mark.skipif(shutil.which("rsync") is None, reason="rsync is not installed")
async def test_rsync(directory: Path, serving: Serving) -> None:
    """A copy that keeps times, of another size or not, is served."""
    shutil.copytree(directory, directory.with_name("source"))
    async with serving(directory) as server:
        run("sed -i s/kind/dull/ source/ada.py && rsync -rtc --delete source/ characters", directory.parent)
        await server.equal()


async def test_switched_link(tmp_path: Path, serving: Serving) -> None:
    """`ln -sfn` to another release, and back, is served; and so are later edits there (W6)."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "ada.py").write_text(character("Ada", f"Release {name}."))
    run("touch -d 2020-01-01 one/ada.py two/ada.py one two && ln -s one current", tmp_path)
    async with serving(tmp_path / "current") as server:
        for command in ("ln -sfn two current", "echo '#' >> two/ada.py", "ln -sfn one current"):
            run(command, tmp_path)
            await server.equal()


async def test_log_has_one_line_for_a_reload(directory: Path, write: Write, serving: Serving) -> None:
    """Each save is one line in the log, with the added, modified and removed characters."""
    async with serving(directory) as server:
        write("bob.py", character("Bob"))
        await server.equal()
        write("ada.py", character("Ada", "New."))
        await server.equal()
        lines = [line for line in server.log().splitlines() if "(watch, close)" in line]
        assert ["added Bob, 1 unchanged" in lines[0], "modified Ada, 1 unchanged" in lines[1]] == [True, True]
        assert len(lines) == 2


async def test_bad_save_is_in_the_log(directory: Path, write: Write, serving: Serving) -> None:
    """A save that does not load is a line in the log with the file, the line and the error (promise 22)."""
    async with serving(directory) as server:
        write("ada.py", "x = 1\ndef broken(:\n")
        await eventually(lambda: "character file not loaded: ada.py:2: SyntaxError" in server.log())
        assert [c["name"] for c in (await server.get("/v1/characters"))["characters"]] == ["Ada"]


async def test_session_receives_the_reload_and_is_closed(directory: Path, write: Write, serving: Serving) -> None:
    """Under the default policy a save closes every session with 1012, as a manual reload does."""
    write("bob.py", character("Bob"))
    async with serving(directory) as server:
        sessions = [await server.talk("Ada"), await server.talk("Bob")]
        write("ada.py", character("Ada", "New."))
        assert [await ended(ws) for ws in sessions] == [("characters_reloaded", 1012)] * 2


async def test_only_the_session_of_the_edited_character_is_closed(
    directory: Path, write: Write, serving: Serving
) -> None:
    """With `close_affected` a session with another character continues (promise 19)."""
    write("bob.py", character("Bob"))
    async with serving(directory, "--sessions", "close_affected") as server:
        ada, bob = await server.talk("Ada"), await server.talk("Bob")
        write("ada.py", character("Ada", "New."))
        assert await ended(ada) == ("characters_reloaded", 1012)
        await bob.send_json({"type": "session.update", "session": {"type": "realtime"}})
        assert (await bob.receive_json(timeout=PATIENCE))["type"] == "session.updated"


async def test_session_of_a_removed_character_receives_the_reason(
    directory: Path, write: Write, serving: Serving
) -> None:
    """Under `close_affected` a session whose character is gone is closed with 4004 (promises 19, 29)."""
    file = write("bob.py", character("Bob"))
    async with serving(directory, "--sessions", "close_affected") as server:
        bob = await server.talk("Bob")
        file.unlink()
        assert await ended(bob) == ("character_removed", 4004)


async def test_status_shows_the_watcher(directory: Path, serving: Serving) -> None:
    """`GET /v1/characters/status` shows that the directory is watched, and the mode."""
    async with serving(directory) as server:
        watcher = (await server.get("/v1/characters/status"))["watcher"]
        assert sorted(watcher) == ["held", "last_comparison", "last_event", "mode", "restarts", "up"]
        assert (watcher["up"], watcher["mode"]) == (True, "events")


@pytest.mark.skipif(
    not may("echo 2 > /proc/sys/user/max_inotify_watches"), reason="no namespace to limit the watches in"
)
async def test_limit_of_watches_is_not_silent(directory: Path, write: Write, serving: Serving) -> None:
    """Without enough watches the server polls, and logs the reason (promise 21, W25)."""
    for number in range(5):
        write(f"folder{number}/x.py", "X = 1\n")
    async with serving(directory, before="echo 2 > /proc/sys/user/max_inotify_watches") as server:
        write("folder4/x.py", "X = 2\n")
        write("ada.py", "from characters.folder4.x import X\n" + character("Ada"))
        await server.equal()
        assert (await server.get("/v1/characters/status"))["watcher"]["mode"] == "poll"
        assert "polling the character directory for changes" in server.log()


@pytest.mark.skipif(
    not may("echo 0 > /proc/sys/user/max_inotify_instances"), reason="no namespace to limit the notifiers in"
)
async def test_limit_of_notifiers_is_not_silent(directory: Path, write: Write, serving: Serving) -> None:
    """Without a notifier the server polls, and logs the reason (promise 21, W25)."""
    async with serving(directory, before="echo 0 > /proc/sys/user/max_inotify_instances") as server:
        write("ada.py", character("Ada", "New."))
        await server.equal()
        assert (await server.get("/v1/characters/status"))["watcher"]["mode"] == "poll"


@pytest.mark.skipif(not may("mount --bind /etc/hostname /etc/hosts"), reason="no namespace to mount in")
async def test_mounted_file_is_warned_about(directory: Path, tmp_path: Path, serving: Serving) -> None:
    """A character file that is a mount of its own is named in the log (W24)."""
    source = tmp_path / "ada.py"
    source.write_text(character("Ada", "Mounted."))
    async with serving(directory, before=f"mount --bind {source} {directory}/ada.py") as server:
        assert f"{directory}/ada.py is a mount of its own" in server.log()


@pytest.mark.skipif(not may("mount --bind /etc/hostname /etc/hosts"), reason="no namespace to mount in")
async def test_directory_on_a_mount_of_its_own_is_watched(directory: Path, write: Write, serving: Serving) -> None:
    """A directory that is mounted as a whole is watched as any other."""
    async with serving(directory, before=f"mount --bind {directory} {directory}") as server:
        write("ada.py", character("Ada", "New."))
        await server.equal()
        assert (await server.get("/v1/characters/status"))["watcher"]["mode"] == "events"
