"""`charhost` with a probe: `python -m scripts.benchmarks.fleet.probed PROBE_PORT serve …`.

A connection to the probe's port receives the names of the running tasks as JSON.
"""

import asyncio
import json
import socket
import sys
import threading

_loops: list[asyncio.AbstractEventLoop] = []


def main() -> None:
    port = int(sys.argv.pop(1))
    made = asyncio.new_event_loop

    def new_event_loop() -> asyncio.AbstractEventLoop:
        _loops.append(made())
        return _loops[-1]

    asyncio.new_event_loop = new_event_loop
    threading.Thread(target=_serve, args=(port,), name="probe", daemon=True).start()
    from charhost.cli import main as charhost

    charhost()


def _serve(port: int) -> None:
    with socket.create_server(("127.0.0.1", port)) as server:
        while True:
            client, _ = server.accept()
            with client:
                client.sendall(json.dumps(_tasks()).encode())


def _tasks() -> list[str]:
    tasks = [task for loop in _loops if loop.is_running() for task in asyncio.all_tasks(loop) if not task.done()]
    return sorted(getattr(task.get_coro(), "__qualname__", "") for task in tasks)


if __name__ == "__main__":
    main()
