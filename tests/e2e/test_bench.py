"""`scripts/bench`: each row has a figure of each server, also of a checkout that is given."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scripts.benchmarks.measure import generate
from scripts.benchmarks.row import Goal, Rows
from scripts.benchmarks.rows.bench import Bench
from scripts.benchmarks.rows.growth import Growths
from scripts.benchmarks.rows.reload import add_reload_rows
from scripts.benchmarks.rows.sessions import add_session_rows
from scripts.benchmarks.servers import serving
from scripts.benchmarks.storm import Storm

LIMIT = 400

STAND_IN = '''"""A program with POST /v1/characters/reload and WebSockets, as the checkout of one has it."""

class FastAPI:
    def __init__(self):
        self.reloads = []

    async def __call__(self, scope, receive, send):
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept", "subprotocol": "realtime"})
            self.reloads.append(send)
            while (await receive())["type"] != "websocket.disconnect":
                pass
        elif scope["type"] == "http":
            assert scope["path"] == "/v1/characters/reload"
            while self.reloads:
                await self.reloads.pop()({"type": "websocket.close", "code": 1012})
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
            await send({"type": "http.response.body", "body": b"{}"})

app = FastAPI()
'''


@pytest.mark.slow
async def test_rows_have_the_figures_of_every_server(tmp_path: Path) -> None:
    """Reloads, the gaps and memory they cost, and closed sessions are measured in charhost and those beside it."""
    (checkout := tmp_path / "checkout" / "program").mkdir(parents=True)
    (checkout / "main.py").write_text(STAND_IN)
    kinds = {"charhost": "charhost", "naive": "naive", "reference": str(checkout.parent)}
    bench = Bench(rows := Rows(), tmp_path / "sets", kinds)
    await add_reload_rows(bench, 1, 2, 3)
    await add_session_rows(bench, 2)
    assert {"first load of 1, ms", "back to 2, ms", "changed, one of 3, ms", "2 sessions closed, the last, ms"} < {
        *rows
    }
    alone = {"changed, one of 2, ms", "changed, one of 3, ms", "loop gap, first load of 3, ms"}
    assert all({*kinds} <= {*row.figures} for name, row in rows.items() if name not in alone)
    assert all(row.verdict.startswith(("met", "missed")) for row in rows.values())


@pytest.mark.parametrize(
    ("name", "figures", "exponent"),
    [
        ("first load of {}, ms", {1: 3, 10: 10, 100: 100}, 1.0),
        ("{} sessions closed, the last, ms", {10: 10, 100: 1_000}, 2.0),
        ("memory of each of {} sessions, kB", {1: 300, 10: 30, 100: 30}, 1.0),
    ],
)
def test_growth_is_that_of_all_between_the_two_largest_numbers(
    name: str, figures: dict[int, float], exponent: float
) -> None:
    """Ten times the time for ten times as many is linear, and so is the same for each; a hundred times is not."""
    growths = Growths()
    for count, figure in figures.items():
        rows = Rows()
        rows.add(name.format(count), Goal(1), "charhost", figure)
        growths.add(rows, count)
    (growth,) = growths.values()
    found = growth.name, round(growth.exponent, 6), growth.is_linear
    assert found == (name.format("N"), exponent, exponent == 1.0)


@pytest.mark.slow
async def test_all_clients_come_back_after_a_reload(tmp_path: Path) -> None:
    """Of 200 clients that resume, at once or when they are asked to, each finds its session again."""
    directory, storm = generate(tmp_path, 1), Storm()
    async with serving("charhost") as server:
        await server.reload(directory)
        await storm.run(server, directory, 200)
    assert (len(storm.patient), len(storm.impatient), storm.failures) == (100, 100, {})


@pytest.mark.slow
def test_a_minute_of_everything_at_once_leaves_nothing_behind() -> None:
    """Each answer belongs to one version, and the server has as much at the end as after the first half.

    Its memory is still growing in the first minute: a run of many minutes looks at that.
    """
    command = (sys.executable, "-m", "scripts.benchmarks", "soak", "--minutes", "1", "--memory", "200")
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "| answers " in done.stdout
