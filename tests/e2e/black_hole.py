"""Run by a test as root of a network of its own: a node whose packets to the engine vanish, and then arrive again.

`python -m tests.e2e.black_hole DIRECTORY` raises what goes wrong.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.conftest import character
from tests.e2e.conftest import ENVIRONMENT, wait_for

ENGINE = "nats://10.7.0.1:4222"
CHARHOST = (sys.executable, "-m", "charhost")
NODE = ENVIRONMENT | {"CHARHOST_FLEET_KEY": "the key of a fleet in a hole"}
READ = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=30).read().decode())"


def ip(command: str, *before: str) -> None:
    subprocess.run([*before, "ip", *command.split()], check=True)


def main(home: Path) -> None:
    (directory := home / "characters").mkdir()
    (directory / "ada.py").write_text(character("Ada"))
    served = ("--directory", str(directory), "--fleet", ENGINE, "--port", "8001", "--fleet-node")
    with ExitStack() as stack:

        def run(*command: str, log: str = "log") -> subprocess.Popen[bytes]:
            with open(home / log, "ab") as file:
                process = subprocess.Popen(command, env=NODE, stdout=file, stderr=file)
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        other = run("unshare", "-n", "sleep", "600")
        inside = ("nsenter", "-t", str(other.pid), "-n")
        network = Path(f"/proc/{other.pid}/ns/net")
        wait_for(lambda: network.readlink() != Path("/proc/self/ns/net").readlink())
        ip("link set lo up")
        ip(f"link add engine type veth peer name node netns {other.pid}")
        ip("addr add 10.7.0.1/24 dev engine")
        ip("link set engine up")
        ip("link set lo up", *inside)
        ip("addr add 10.7.0.2/24 dev node", *inside)
        ip("link set node up", *inside)
        run(str(Path(sys.executable).with_name("nats-server")), "-a", "10.7.0.1", "-js", "-sd", str(home / "nats"))
        wait_for(lambda: subprocess.run([*CHARHOST, "fleet", "setup", ENGINE], env=NODE).returncode == 0)
        run(*CHARHOST, "serve", *served, "n1", log="n1")
        run(*inside, *CHARHOST, "serve", *served, "n2", log="n2")
        check(inside)


def check(inside: tuple[str, ...]) -> None:
    """Cut the line, reload, and mend it; raises what goes wrong."""

    def state(*before: str) -> Any:
        command = [*before, sys.executable, "-c", READ, "http://127.0.0.1:8001/v1/fleet"]
        done = subprocess.run(command, capture_output=True, env=NODE)
        return json.loads(done.stdout) if done.returncode == 0 else {"nodes": (), "reachable": None, "sets": ()}

    def until(holds: Callable[[], bool]) -> None:
        wait_for(holds)
        assert holds()

    until(lambda: len(state()["nodes"]) == 2 and state(*inside)["reachable"])
    ip("link set engine down")
    until(lambda: not state(*inside)["reachable"])
    ip("link set engine up")
    until(lambda: state(*inside)["reachable"])
    until(lambda: state(*inside)["sets"][0]["register"] == state()["sets"][0]["register"])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
