"""`scripts/docs`: write the tables of README.md and docs/ from the code, or check that they are up to date."""

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry, Metric
from pydantic import BaseModel

from charhost.cli import app as cli
from charhost.errors import ReloadCode
from charhost.jsontext import Json
from charhost.metrics import FleetMetrics, Metrics
from charhost.reload.request import ReloadRequest, RollbackRequest
from charhost.settings import Settings, is_secret, settings_by_group
from charhost.web.app import create_app
from charhost.web.http.later import loaded
from charhost.web.http.operation import operation_of
from scripts import performance_table

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

# The names that the first description of charhost gave to four of its metrics.
_OLD_NAMES = {
    "charhost_character_load_count": "CHARACTER_LOAD_COUNT",
    "charhost_character_load_errors": "CHARACTER_LOAD_ERRORS",
    "charhost_character_load_duration_seconds": "CHARACTER_LOAD_DURATION",
    "charhost_characters_loaded": "CHARACTERS_LOADED",
}
_TABLE = re.compile(r"(<!-- table: (\w+) -->\n).*?(\n<!-- end of table -->)", re.DOTALL)


def main(arguments: list[str] | None = None) -> int:
    """Write the pages that are out of date, or with `--check` report them; return the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/docs", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a page is out of date")
    check = parser.parse_args(arguments).check
    outdated = {page: text for page in PAGES if (text := updated(page)) != page.read_text(encoding="utf-8")}
    for page, text in outdated.items():
        print(f"{page.relative_to(ROOT)}: {'out of date, run ./scripts/docs' if check else 'written'}", file=sys.stderr)
        if not check:
            page.write_text(text, encoding="utf-8")
    return int(check and bool(outdated))


def updated(page: Path) -> str:
    return _TABLE.sub(lambda found: found[1] + "\n" + TABLES[found[2]]() + found[3], page.read_text(encoding="utf-8"))


def settings() -> str:
    header = ("option", "environment", "default", "meaning")
    groups = settings_by_group().items()
    return "\n".join(f"### {group}\n\n{_table(header, map(_setting, names))}" for group, names in groups)


def metrics() -> str:
    return _table(("metric", "known as", "meaning"), map(_metric, Metrics().registry.collect()))


def fleet_metrics() -> str:
    registry = CollectorRegistry()
    FleetMetrics(registry)
    return _table(("metric", "meaning"), ((name, text) for name, _, text in map(_metric, registry.collect())))


def endpoints() -> str:
    """Return the table of the endpoints, but for those of a fleet, which has a page of its own."""
    return _endpoints(lambda path: not path.startswith("/v1/fleet"))


def fleet_endpoints() -> str:
    return _endpoints(lambda path: path.startswith("/v1/fleet"))


def _endpoints(fits: Callable[[str], bool]) -> str:
    rows = []
    for route in create_app().router.routes():
        operation = operation_of(loaded(route.handler))
        if route.method != "HEAD" and route.resource is not None and operation is not None:
            path = route.resource.canonical
            if fits(path):
                rows.append((f"`{route.method} {path}`", operation.needs, _lowered(operation.summary)))
    return _table(("endpoint", "access", "purpose"), rows)


def refusals() -> str:
    codes = sorted(ReloadCode, key=lambda code: code.status)
    return _table(("status", "`code`", "meaning"), ((str(c.status), f"`{c}`", c.meaning) for c in codes))


def reload_fields() -> str:
    return fields("field of the request", ReloadRequest)


def rollback_fields() -> str:
    return fields("field of the rollback", RollbackRequest)


def fields(title: str, model: type[BaseModel]) -> str:
    """Return the table of the fields of a request."""
    schemas = model.model_json_schema()["properties"].items()
    rows = ((f"`{name}`", _values(f), f"`{json.dumps(f['default'])}`", f["description"]) for name, f in schemas)
    return _table((title, "value", "default", "meaning"), rows)


def commands() -> str:
    callbacks = (command.callback for command in cli.registered_commands if command.callback is not None)
    sentences = ((c.__name__, re.split(r"\. |\.?\n\n|\.$", c.__doc__ or "")[0]) for c in callbacks)
    return _table(("command", "effect"), ((f"`charhost {name}`", _lowered(text)) for name, text in sentences))


def performance() -> str:
    return _table(*performance_table.figures())


def scale_of_characters() -> str:
    return _table(*performance_table.growth("characters"))


def scale_of_sessions() -> str:
    return _table(*performance_table.growth("sessions"))


def scale_of_conversations() -> str:
    return _table(*performance_table.growth("conversations"))


TABLES = {
    table.__name__: table
    for table in (
        settings,
        metrics,
        fleet_metrics,
        endpoints,
        fleet_endpoints,
        refusals,
        reload_fields,
        rollback_fields,
        commands,
        performance,
        scale_of_characters,
        scale_of_sessions,
        scale_of_conversations,
    )
}


def _setting(name: str) -> tuple[str, str, str, str]:
    field = Settings.model_fields[name]
    option = "–" if is_secret(name) else f"`--{name.replace('_', '-')}`"
    value = field.default
    default = "the default characters" if name == "directory" else "–" if value in (None, ()) else f"`{value}`"
    return option, f"`CHARHOST_{name.upper()}`", default, field.description or ""


def _metric(metric: Metric) -> tuple[str, str, str]:
    name = metric.name + ("_total" if metric.type == "counter" else "")
    old = _OLD_NAMES.get(metric.name)
    return f"`{name}`", f"`{old}`" if old else "", metric.documentation


def _values(field: Json) -> str:
    """Return the permitted values of a field, or its type; null can only be its default."""
    kind = next(kind for kind in field.get("anyOf", [field]) if kind["type"] != "null")
    return ", ".join(f'`"{value}"`' for value in kind["enum"]) if "enum" in kind else str(kind["type"])


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    first, *others = [f"| {' | '.join(cells)} |\n".replace("|  |", "| |") for cells in (header, *rows)]
    return "".join([first, "|" + "---|" * len(header) + "\n", *others])


def _lowered(sentence: str) -> str:
    """Begin a sentence in lower case, unless it begins with a name such as OpenAPI."""
    first, _, rest = sentence.partition(" ")
    return sentence if first[1:] != first[1:].lower() else " ".join(filter(None, (first.lower(), rest)))


if __name__ == "__main__":
    sys.exit(main())
