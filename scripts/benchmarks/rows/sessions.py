"""The rows of open sessions: how long closing them takes, and their memory."""

from __future__ import annotations

import asyncio

from scripts.benchmarks.clients import connect_all
from scripts.benchmarks.row import Goal
from scripts.benchmarks.rows.bench import Bench


async def add_session_rows(bench: Bench, sessions: int) -> None:
    directory, rows = bench.generate(1), bench.rows
    for kind in bench.kinds:
        async with bench.serving(kind) as server:
            await server.reload(directory)
            before = (await server.probed())["memory"]
            clients = await connect_all(server.port, ["/v1/realtime"] * sessions)
            taken = ((await server.probed())["memory"] - before) * (1 << 20) / sessions / 1000
            closed = asyncio.gather(*(client.closed for client in clients))
            posted = await server.reload(directory)
            began = server.clock() - posted / 1000
            await closed
            last = server.clock() - began
            probed = await server.probed()
        rows.add(f"{sessions} sessions closed, the last, ms", Goal(1, "naive"), kind, last * 1000)
        rows.add(f"POST with {sessions} sessions, ms", Goal(50), kind, posted)
        bench.add_gap(f"loop gap, closing {sessions} sessions, ms", Goal(50), kind, probed)
        rows.add(f"memory of each of {sessions} sessions, kB", Goal(25), kind, taken)
