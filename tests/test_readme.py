"""The README says what is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from charhost.cli import app
from charhost.metrics import Metrics
from charhost.report import ReloadRequest, RollbackRequest
from charhost.settings import Settings, is_secret
from charhost.web.app import create_app
from charhost.web.completions.handler import MOST_BODY_BYTES
from tests.conftest import Client

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def rows(header: str) -> list[list[str]]:
    """The cells of the table whose header line begins with *header*."""
    lines = README[README.index(f"| {header} ") :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def block(language: str) -> str:
    """The one block of that language."""
    [found] = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    return str(found)


def test_settings_table_is_the_settings() -> None:
    """Every setting is in the table, with its variable, its default and its meaning, and nothing else is."""
    table = {
        variable.strip("`").removeprefix("CHARHOST_").lower(): row for row in rows("option") for variable in row[1:2]
    }
    assert list(table) == list(Settings.model_fields)
    for name, (option, _, default, meaning) in table.items():
        field = Settings.model_fields[name]
        assert option == ("–" if is_secret(name) else f"`--{name.replace('_', '-')}`")
        assert meaning == field.description
        if name != "directory":
            value = getattr(Settings(), name)
            assert default == ("–" if value is None else f"`{value}`")


def test_every_route_is_among_the_endpoints(directory: Path) -> None:
    """Each method and path that the application serves is in the table of endpoints, and nothing else is."""
    routes = create_app(Settings(directory=directory)).router.routes()
    served = {
        f"{route.method} {route.resource.canonical}" for route in routes if route.resource and route.method != "HEAD"
    }
    assert {row[0].strip("`") for row in rows("endpoint")} == served


def test_metrics_table_is_the_metrics() -> None:
    """Every metric is in the table, under the name that Prometheus sees, and nothing else is."""
    kinds = {"counter": "_total"}
    real = {metric.name + kinds.get(metric.type, "") for metric in Metrics().registry.collect()}
    assert {re.sub(r"{.*", "", row[0].strip("`")) for row in rows("metric")} == real


async def test_every_metric_in_an_alert_is_shown(client: Client) -> None:
    """The alerts for Prometheus ask for metrics that a server has at `/metrics`."""
    shown = {line.split("{")[0].split(" ")[0] for line in (await (await client.get("/metrics")).text()).splitlines()}
    asked = re.findall(r"charhost_\w+", block("yaml"))
    assert len(asked) >= 3
    assert set(asked) <= shown


def test_the_service_is_started_with_options_that_exist() -> None:
    """The systemd unit uses options and variables of real settings, and runs a command that is installed."""
    unit = block("ini")
    options = re.findall(r" --([\w-]+)", re.search("ExecStart=.*", unit)[0])  # type: ignore[index]
    variables = re.findall(r"Environment=CHARHOST_(\w+)", unit)
    names = {option.replace("-", "_") for option in options} | {variable.lower() for variable in variables}
    assert {"directory", "admin_key_file"} <= names <= set(Settings.model_fields)
    assert "/bin/charhost serve" in unit


def test_the_service_has_time_to_stop() -> None:
    """systemd waits longer than a stop may take, which is twice the setting."""
    seconds = re.findall(r"TimeoutStopSec=(\d+)", block("ini"))
    assert [float(found) > 2 * Settings().shutdown_timeout for found in seconds] == [True]


def test_the_proxy_allows_what_the_server_does() -> None:
    """nginx lets a chat's body through, waits for the model, passes on upgrades and holds no answer back."""
    proxy = block("nginx")
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
    """With the headers that nginx is told to send nobody is an admin without a key."""
    headers = dict.fromkeys(re.findall(r"proxy_set_header (X-\S+)", block("nginx")), "192.0.2.1")
    assert (await client.get("/v1/characters/status", headers=headers)).status == 403
    assert (await client.get("/v1/characters/status")).status == 200


def test_request_table_is_the_request() -> None:
    """Every field of a reload request is in the table, in its order."""
    assert [row[0].strip("`") for row in rows("field of the request")] == list(ReloadRequest.model_fields)


def test_rollback_table_is_the_request() -> None:
    """Every field of a rollback is in its table, in its order."""
    assert [row[0].strip("`") for row in rows("field of the rollback")] == list(RollbackRequest.model_fields)


def test_command_table_is_the_commands() -> None:
    """Every command is in the table, and nothing else is."""
    registered = {
        f"charhost {command.name or command.callback.__name__}"
        for command in app.registered_commands
        if command.callback
    }
    assert {row[0].strip("`") for row in rows("command")} == registered


def test_first_character_loads(directory: Path) -> None:
    """The character on the first screen is a whole character file."""
    source = README.split("```python")[1].split("```")[0]
    namespace: dict[str, object] = {}
    exec(compile(source, "ada.py", "exec"), namespace)
    assert namespace["CHARACTER_NAME"] == "Ada"


@pytest.mark.parametrize("link", re.findall(r"\]\(#([\w-]+)\)", README))
def test_links_lead_somewhere(link: str) -> None:
    """Each link within the page has its heading."""
    headings = [heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", README, re.MULTILINE)]
    assert link in headings
