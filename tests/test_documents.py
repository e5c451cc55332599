"""README.md and docs/ state facts that the code confirms, and their links lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from charhost.cli import app
from charhost.metrics import FleetMetrics, Metrics
from charhost.reload.request import ReloadRequest, RollbackRequest
from charhost.settings import Habit, Settings, is_secret, settings_by_group
from charhost.web.app import create_app
from charhost.web.openai.request import MOST_BODY_BYTES
from tests.conftest import Client
from tests.documents import DOCS, PAGES, README, ROOT, block, dead_links, read, rows
from tests.e2e.programs.kinds import KINDS
from tests.strict_upstream import MODES, STRANGERS

FRONT = README.read_text(encoding="utf-8")
OPERATING, RELOADING = read("operating"), read("reloading")
SEED = ROOT.parent / "shared" / "seed.md"


def test_settings_tables_are_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every setting is in the table of its group, with its variable, its default and its meaning; no other row is."""
    for variable in ("CHARHOST_LLM_URL", "CHARHOST_FILE_DEADLINE", "CHARHOST_PROMPT_DEADLINE"):
        monkeypatch.delenv(variable)
    sections = read("settings").split("\n### ")[1:]
    assert [section.partition("\n")[0] for section in sections] == list(settings_by_group())
    table = {
        row[1].strip("`").removeprefix("CHARHOST_").lower(): row
        for section in sections
        for row in rows(section, "option")
    }
    assert list(table) == [name for names in settings_by_group().values() for name in names]
    assert sorted(table) == sorted(Settings.model_fields)
    for name, (option, _, default, meaning) in table.items():
        field = Settings.model_fields[name]
        assert option == ("–" if is_secret(name) else f"`--{name.replace('_', '-')}`")
        assert meaning == field.description
        if name != "directory":
            assert getattr(Settings(), name) == field.default
            assert default == ("–" if field.default in (None, ()) else f"`{field.default}`")


def test_every_route_is_among_the_endpoints(directory: Path) -> None:
    """Each method and path that the application serves is in a table of endpoints, and nothing else is."""
    routes = create_app(Settings(directory=directory)).router.routes()
    served = {
        f"{route.method} {route.resource.canonical}" for route in routes if route.resource and route.method != "HEAD"
    }
    named = [*rows(FRONT, "endpoint"), *rows(OPERATING, "endpoint")]
    assert {row[0].strip("`") for row in named} == served


def test_metrics_table_is_the_metrics() -> None:
    """Every metric is in the table, under the name that Prometheus sees, and nothing else is."""
    kinds = {"counter": "_total"}
    metrics = Metrics()
    FleetMetrics(metrics.registry)
    real = {metric.name + kinds.get(metric.type, "") for metric in metrics.registry.collect()}
    named = [*rows(OPERATING, "metric | known as"), *rows(OPERATING, "metric | meaning")]
    assert {re.sub(r"{.*", "", row[0].strip("`")) for row in named} == real


async def test_every_metric_in_an_alert_is_shown(client: Client) -> None:
    """The metrics in the Prometheus alerts are in the server's `/metrics`."""
    shown = {line.split("{")[0].split(" ")[0] for line in (await (await client.get("/metrics")).text()).splitlines()}
    asked = re.findall(r"charhost_\w+", block(OPERATING, "yaml"))
    assert len(asked) >= 3
    assert set(asked) <= shown


def test_the_service_is_started_with_options_that_exist() -> None:
    """The systemd unit uses options and variables of real settings, and runs a command that is installed."""
    unit = block(OPERATING, "ini")
    options = re.findall(r" --([\w-]+)", re.search("ExecStart=.*", unit)[0])  # type: ignore[index]
    variables = re.findall(r"Environment=CHARHOST_(\w+)", unit)
    names = {option.replace("-", "_") for option in options} | {variable.lower() for variable in variables}
    assert {"directory", "admin_key_file"} <= names <= set(Settings.model_fields)
    assert "/bin/charhost serve" in unit


def test_the_service_has_time_to_stop() -> None:
    """systemd waits longer than a stop may take, which is three times the setting."""
    seconds = re.findall(r"TimeoutStopSec=(\d+)", block(OPERATING, "ini"))
    assert [float(found) > 3 * Settings().shutdown_timeout for found in seconds] == [True]


def test_the_proxy_allows_what_the_server_does() -> None:
    """nginx allows the size of a chat's body and the time of a model, passes on upgrades, and buffers no response."""
    proxy = block(OPERATING, "nginx")
    assert f"client_max_body_size {MOST_BODY_BYTES >> 20}m;" in proxy
    assert [float(found) > Settings().llm_first_deadline for found in re.findall(r"read_timeout (\d+)s", proxy)] == [
        True
    ]
    for line in (
        "Upgrade $http_upgrade;",
        "Connection $connection_upgrade;",
        "proxy_buffering off;",
        "X-Forwarded-For",
    ):
        assert line in proxy


async def test_a_request_through_the_proxy_is_not_local(client: Client) -> None:
    """With the headers of the nginx configuration a request is not an admin's without a key."""
    headers = dict.fromkeys(re.findall(r"proxy_set_header (X-\S+)", block(OPERATING, "nginx")), "192.0.2.1")
    assert (await client.get("/v1/characters/status", headers=headers)).status == 403
    assert (await client.get("/v1/characters/status")).status == 200


def test_request_table_is_the_request() -> None:
    """Every field of a reload request is in the table, in its order."""
    assert [row[0].strip("`") for row in rows(RELOADING, "field of the request")] == list(ReloadRequest.model_fields)


def test_rollback_table_is_the_request() -> None:
    """Every field of a rollback is in its table, in its order."""
    assert [row[0].strip("`") for row in rows(RELOADING, "field of the rollback")] == list(RollbackRequest.model_fields)


def test_command_table_is_the_commands() -> None:
    """Every command is in the table, and nothing else is."""
    registered = {
        f"charhost {command.name or command.callback.__name__}"
        for command in app.registered_commands
        if command.callback
    }
    assert {row[0].strip("`") for row in rows(RELOADING, "command")} == registered


def test_habits_table_is_the_modes_of_the_strict_upstream() -> None:
    """Every habit is in the table, in the order of its names, with the servers that the tests imitate."""
    table = {row[0].strip("`"): set(row[2].split(", ")) for row in rows(read("models"), "habit")}
    assert list(table) == list(Habit)
    modes = {**MODES, **STRANGERS}
    for name, servers in table.items():
        assert servers == {mode.server for key, mode in modes.items() if key.split(" ")[0] == name}


@pytest.mark.parametrize("package", sorted({package for kind in KINDS for package in kind.packages} - {"zod"}))
def test_programs_table_has_the_packages_of_the_tests(package: str) -> None:
    """The table of clients names each package whose programs the tests run."""
    listed = " ".join(row[0] for row in rows(read("clients"), "program"))
    assert f"`{package.partition('[')[0]}`" in listed


def test_first_character_loads(directory: Path) -> None:
    """The character on the first screen is a whole character file."""
    namespace: dict[str, object] = {}
    exec(compile(block(FRONT, "python"), "ada.py", "exec"), namespace)
    assert namespace["CHARACTER_NAME"] == "Ada"


def test_first_screen_has_both_commands() -> None:
    """The README is short, and the commands to run the server and the tests stand near its top."""
    lines = FRONT.splitlines()
    assert len(lines) <= 150
    assert {"./scripts/run", "./scripts/test"} <= {word for line in lines[:40] for word in line.split()}


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.stem)
def test_every_page_is_read_on_to(page: Path) -> None:
    """The README links to each page of docs/."""
    assert f"(docs/{page.name})" in FRONT


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link leads to a file and, where it names a heading, to that heading."""
    assert dead_links(page, page.read_text(encoding="utf-8")) == []


def test_a_dead_link_is_found() -> None:
    """A link to a missing file or heading is reported; one to another host is not checked."""
    text = "# A title\n[a](#a-title) [b](#gone) [c](gone.md) [d](README.md#gone) [e](https://localhost/x)"
    assert dead_links(README, text) == ["#gone", "gone.md", "README.md#gone"]


@pytest.mark.skipif(not SEED.exists(), reason="the folder with the seed is not beside this checkout")
def test_links_of_the_seed_lead_somewhere() -> None:
    """Each relative link of the seed, read from docs/, leads to a file, unless it is marked "if exists"."""
    lines = [line for line in SEED.read_text(encoding="utf-8").splitlines() if "(if exists)" not in line]
    assert "../README.md" in "".join(lines)
    assert dead_links(ROOT / "docs" / SEED.name, "\n".join(lines)) == []


def numbers_in_tests() -> Iterator[tuple[str, str]]:
    """Yield each promise and each case of the watcher that a test names, with the file of the test."""
    for path in sorted((ROOT / "tests").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        for numbers in re.findall(r"\bpromises? (\d+(?:(?:, and |, | and )\d+)*)", text):
            yield from ((f"promise {number}", path.name) for number in re.findall(r"\d+", numbers))
        yield from ((case, path.name) for case in re.findall(r"\bW\d+\b", text))


def test_every_number_in_a_test_is_explained() -> None:
    """Each promise and each case of the watcher that a test names is listed in docs/reloading.md."""
    promises = re.findall(r"^(\d+)\. ", RELOADING, re.MULTILINE)
    cases = [row[0] for row in rows(RELOADING, "case | what happens on the disk")]
    assert promises == [str(number + 1) for number in range(len(promises))]
    explained = {f"promise {number}" for number in promises} | set(cases)
    used = list(numbers_in_tests())
    assert len(used) > 200
    assert [(number, file) for number, file in used if number not in explained] == []


def test_every_file_of_the_house_exists() -> None:
    """Each file and folder that docs/development.md names is there, and each package is drawn."""
    page = read("development")
    named = re.findall(r"`([a-z_/]+(?:\.py|/))`", page)
    assert len(named) > 20
    assert [name for name in named if not any((ROOT / place / name).exists() for place in ("", "charhost"))] == []
    house = page.split("```\ncharhost/\n")[1].split("```")[0]
    packages = {path.parent for path in (ROOT / "charhost").glob("*/**/__init__.py")}
    assert {package.name for package in packages} <= set(re.findall(r"\b(\w+)/", house))
