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

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def rows(header: str) -> list[list[str]]:
    """The cells of the table whose header line begins with *header*."""
    lines = README[README.index(f"| {header} ") :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


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
