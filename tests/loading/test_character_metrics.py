"""The metrics of character files, and the handlers of their loggers."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import prometheus_client
import pytest

from tests.conftest import Client, character
from tests.reload.helpers import Gate, Write

ASKED = """
from prometheus_client import Counter, Gauge, Histogram
ASKED = Counter("ada_asked", "Questions.")
KINDS = Counter("ada_kinds", "Questions by kind.", ["kind"])
SECONDS = Histogram("ada_seconds", "Seconds.", buckets=(1, 2))
MOOD = Gauge("ada_mood", "Mood.")
ASKED.inc()
KINDS.labels("long").inc()
SECONDS.observe(1.5)
MOOD.set(3)
"""

LONG = 'ada_kinds_total{kind="long"}'

Metrics = Callable[..., Any]


@pytest.fixture
def metrics(client: Client) -> Metrics:
    """Return what /metrics shows, by the name of the sample and its labels."""

    async def metrics(accept: str = "text/plain") -> dict[str, float]:
        response = await client.get("/metrics", headers={"Accept": accept})
        assert response.status == 200
        lines = [line for line in (await response.text()).splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    return metrics


async def reload(client: Client, **fields: Any) -> Any:
    """Reload, and let what has ended go."""
    response = await client.post("/v1/characters/reload", json=fields)
    gc.collect()
    return await response.json()


async def eventually(metrics: Metrics, name: str) -> float:
    """Return a sample once the thread that ran a trial has let go of it."""
    async with asyncio.timeout(60):
        while name not in (found := await metrics()):
            gc.collect()
            await asyncio.sleep(0.01)
    return float(found[name])


async def test_metrics_survive_edits(client: Client, metrics: Metrics, write: Write) -> None:
    """Metrics of each kind go on from version to version, in each way to reload."""
    for count, scope in enumerate(("all", "changed", "all", "all"), start=1):
        write("ada.py", f"{ASKED}\n# {count}\n{character('Ada')}")
        assert (await reload(client, scope=scope))["error_count"] == 0
        found = await metrics()
        assert found["ada_asked_total"] == count
        assert found['ada_kinds_total{kind="long"}'] == count
        assert (found["ada_seconds_count"], found['ada_seconds_bucket{le="2.0"}']) == (count, count)
        assert found["ada_mood"] == 3
    assert not any(family.name.startswith("ada") for family in prometheus_client.REGISTRY.collect())


async def test_metrics_go_with_their_character(client: Client, metrics: Metrics, write: Write) -> None:
    """When the file is gone its metrics are gone, though others of its build serve on; and they begin anew."""
    write("bob.py", character("Bob"))
    write("ada.py", ASKED + character("Ada"))
    await reload(client)
    assert "ada_asked_total" in await metrics()
    write("ada.py", "").unlink()
    await reload(client, scope="changed")
    assert not [name for name in await metrics() if name.startswith("ada")]
    write("ada.py", ASKED + character("Ada"))
    await reload(client, scope="changed")
    assert (await metrics())["ada_asked_total"] == 1


async def test_a_trial_leaves_the_metrics_as_they_are(client: Client, metrics: Metrics, write: Write) -> None:
    """After a dry run, and after a file that fails, the version that serves has its metrics."""
    write("ada.py", ASKED + character("Ada"))
    await reload(client)
    write("ada.py", ASKED.replace('["kind"]', '["sort"]') + character("Ada"))
    await reload(client, dry_run=True)
    assert await eventually(metrics, LONG) == 1
    write("ada.py", ASKED + "1 / 0")
    await reload(client, on_error="keep")
    assert await eventually(metrics, LONG) >= 1


async def test_a_trial_that_is_held_is_in_nobodys_place(
    client: Client, metrics: Metrics, write: Write, gate: Gate
) -> None:
    """While a dry run waits, the version that serves has its metrics; the next real version goes on with them."""
    write("ada.py", ASKED + character("Ada"))
    await reload(client)
    trial = ASKED.replace('["kind"]', '["sort"]')
    write("ada.py", trial + character("Ada"))
    write("bob.py", "import gate\ngate.wait()\n" + character("Bob"))
    running = asyncio.create_task(reload(client, dry_run=True))
    await gate.until_reached()
    found = await metrics()
    assert (found[LONG], 'ada_kinds_total{sort="long"}' in found) == (1, False)
    gate.opened.set()
    await running
    write("ada.py", ASKED + character("Ada"))
    await reload(client)
    assert (await metrics())[LONG] == 2


async def test_other_labels_are_another_metric(client: Client, metrics: Metrics, write: Write) -> None:
    """A metric that an edit gave other labels begins anew."""
    write("ada.py", ASKED + character("Ada"))
    await reload(client)
    write("ada.py", ASKED.replace('["kind"]', '["sort"]') + character("Ada"))
    await reload(client)
    found = await metrics()
    assert found['ada_kinds_total{sort="long"}'] == 1
    assert 'ada_kinds_total{kind="long"}' not in found


async def test_helpers_share_a_metric(client: Client, metrics: Metrics, write: Write) -> None:
    """A metric of a helper is common to its users, and stays as long as one of them."""
    write("_stats.py", 'from prometheus_client import Counter\nUSES = Counter("stats_uses", "Uses.")\n')
    for name in ("ada", "bob"):
        write(f"{name}.py", f"from ._stats import USES\nUSES.inc()\n{character(name.title())}")
    await reload(client)
    write("ada.py", "").unlink()
    await reload(client, scope="changed")
    assert (await metrics())["stats_uses_total"] == 2


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text; version=1.0.0"])
async def test_a_collector_that_fails_is_left_out(
    client: Client, metrics: Metrics, write: Write, monkeypatch: pytest.MonkeyPatch, accept: str
) -> None:
    """Collectors that raise, hang or return nonsense are counted; the others are shown, in both formats."""
    monkeypatch.setattr("charhost.loading.character_metrics._DEADLINE", 0.2)
    own = (
        "from prometheus_client import REGISTRY, Gauge\n"
        "class Raising:\n    def describe(self): return []\n    def collect(self): raise SystemExit\n"
        "class Hanging(Raising):\n    def collect(self):\n        while True: pass\n"
        "class Odd(Raising):\n    def collect(self): return [1]\n"
        "for kind in (Raising, Hanging, Odd): REGISTRY.register(kind())\n"
        "Gauge('ada_fails', 'It.').set_function(lambda: 1 / 0)\n"
    )
    write("ada.py", ASKED + own + character("Ada"))
    assert (await reload(client))["error_count"] == 0
    found = await metrics(accept)
    assert (found["ada_asked_total"], "ada_fails" in found) == (1, False)
    assert (await metrics(accept))["charhost_character_metric_errors_total"] == 8


async def test_openmetrics_ends_once(client: Client, write: Write) -> None:
    """The text in the format of OpenMetrics has its end at the end."""
    write("ada.py", ASKED + character("Ada"))
    await reload(client)
    response = await client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert (await response.text()).count("# EOF") == 1
    assert (await response.text()).endswith("# EOF\n")


async def refused(client: Client, write: Write, kind: str, name: str) -> Any:
    """Return the error of a metric of that name, in a file that is loaded after Bob's."""
    write("bob.py", ASKED.replace("ada", "bob") + character("Bob"))
    await reload(client)
    write("cyd.py", f'from prometheus_client import {kind}\n{kind}("{name}", "Mine.")\n{character("Cyd")}')
    (error,) = (await reload(client, scope="changed"))["errors"]
    return error


@pytest.mark.parametrize("name", ["charhost_reloads", "characters_loaded", "character_load_count", "bob_asked"])
async def test_a_name_that_is_taken_is_refused(client: Client, write: Write, name: str) -> None:
    """The names of the server's metrics, and of another character's, are refused with that reason."""
    error = await refused(client, write, "Counter", name)
    assert (error["file"], error["error_type"], name in error["message"]) == ("cyd.py", "ValueError", True)
    assert "choose another name" in error["message"] or "begin it with the name" in error["message"]


@pytest.mark.parametrize("name", ["bob_asked_total", "bob_asked_created", "bob_seconds_count", "bob_seconds_bucket"])
async def test_the_name_of_a_sample_is_taken(client: Client, write: Write, name: str) -> None:
    """A metric that would be shown under the name of another one's sample is refused, as prometheus_client does."""
    error = await refused(client, write, "Gauge", name)
    assert error["message"].startswith(f"the metric {name} is already registered by bob.py")


UNDESCRIBED = """
from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily
class Collector:
    def describe(self): return []
    def collect(self): yield GaugeMetricFamily("shared_mood", "Mood.", value=VALUE)
REGISTRY.register(Collector())
"""


async def test_no_name_is_shown_twice(client: Client, metrics: Metrics, write: Write) -> None:
    """Of collectors that describe nothing, and have the same metric, one is shown and the other one has failed."""
    for value, name in enumerate(("Ada", "Bob")):
        write(f"{name.lower()}.py", UNDESCRIBED.replace("VALUE", f"{value}") + character(name))
    await reload(client)
    text = await (await client.get("/metrics")).text()
    assert text.count("# TYPE shared_mood") == 1
    assert (await metrics())["charhost_character_metric_errors_total"] == 2


async def test_versions_show_a_name_once(client: Client, metrics: Metrics, write: Write) -> None:
    """While two versions of a file are in use, the newest is shown, also if it does not describe what it has."""
    write("ada.py", UNDESCRIBED.replace("VALUE", "1") + character("Ada"))
    await reload(client)
    session = await client.ws_connect("/v1/realtime?model=Ada")
    await session.receive(60)
    write("ada.py", UNDESCRIBED.replace("VALUE", "2") + character("Ada"))
    await reload(client, scope="changed", sessions="keep")
    assert (await metrics())["shared_mood"] == 2
    assert (await (await client.get("/metrics")).text()).count("# TYPE shared_mood") == 1
    assert (await metrics())["charhost_character_metric_errors_total"] == 0
    await session.close()


@pytest.mark.parametrize("name", ["charhost_generation", "characters_loaded", "character_load_errors_total"])
async def test_the_samples_of_a_collector_have_no_names_of_the_server(
    client: Client, metrics: Metrics, write: Write, name: str
) -> None:
    """A collector whose metric has another name than its samples is left out if theirs are those of the server."""
    own = (
        "from prometheus_client import REGISTRY, Metric\n"
        "class Collector:\n    def describe(self): return []\n    def collect(self):\n"
        "        found = Metric('ada', 'It.', 'gauge')\n"
        f"        found.add_sample('{name}', {{}}, 99)\n        yield found\n"
        "REGISTRY.register(Collector())\n"
    )
    write("ada.py", own + character("Ada"))
    await reload(client)
    found = await metrics()
    assert (found.get(name) == 99, found["charhost_character_metric_errors_total"]) == (False, 1)


async def test_a_renamed_file_keeps_its_metrics(
    client: Client, metrics: Metrics, write: Write, directory: Path
) -> None:
    """A file under another name takes the metrics along."""
    write("ada.py", ASKED + character("Ada"))
    await reload(client)
    (directory / "ada.py").rename(directory / "ada2.py")
    assert (await reload(client, scope="changed"))["error_count"] == 0
    assert (await metrics())["ada_asked_total"] == 2


async def test_handlers_go_with_their_version(client: Client, write: Write) -> None:
    """A handler that a file gave to a logger is taken off when its version retires; the server's stay."""
    source = "import logging\nlogging.getLogger(__name__).addHandler(logging.NullHandler())\n"
    source += "logging.getLogger().addHandler(logging.NullHandler())\n"
    before = logging.getLogger().handlers[:]
    for count in range(3):
        write("ada.py", f"{source}# {count}\n{character('Ada')}")
        await reload(client, scope="changed")
        assert len(logging.getLogger("characters.ada").handlers) == 1
        assert len(logging.getLogger().handlers) == len(before) + 1
    write("ada.py", character("Ada"))
    await reload(client, scope="changed")
    assert logging.getLogger().handlers == before
