"""The page at /docs/api: the OpenAPI document as HTML."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any

from charhost.web.docs.layout import framed

Json = Mapping[str, Any]

_KEYS = {"apiKey": "API key", "adminKey": "admin key"}
_LIMITS = {"minimum": "≥", "maximum": "≤", "maxLength": "up to", "minLength": "at least"}


def page(document: Json) -> str:
    info, schemas = document["info"], document["components"]["schemas"]
    groups: dict[str, list[tuple[str, str, Json]]] = {tag["name"]: [] for tag in document["tags"]}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            for tag in operation["tags"]:
                groups[tag].append((method, path, operation))
    head = '<link rel="stylesheet" href="style.css">\n<script src="page.js" defer></script>'
    header = f"""<h1>{escape(info["title"])} <small>{escape(info["version"])}</small></h1>
<p>{_prose(info["description"])}</p>
<p>For programs: <a href="../openapi.json">openapi.json</a>. For people: the <a href="../docs">manual</a>.</p>"""
    nav = f"""<label id="search" hidden>Find <input type="search" autocomplete="off"></label>
{_lines(_contents(name, group) for name, group in groups.items())}
<h2><a href="#schemas">Schemas</a></h2>"""
    main = f"""{_lines(_group(name, group) for name, group in groups.items())}
<h2 id="schemas">Schemas</h2>
{_lines(_schema(name, schema) for name, schema in schemas.items())}"""
    return framed(f"{info['title']} API", header, nav, main, head)


def _contents(name: str, operations: Iterable[tuple[str, str, Json]]) -> str:
    items = _lines(
        f'<li><a href="#{escape(operation["operationId"])}">{_badge(method)} {escape(path)}</a></li>'
        for method, path, operation in operations
    )
    return f"<h2>{escape(name)}</h2>\n<ul>\n{items}\n</ul>"


def _group(name: str, operations: Iterable[tuple[str, str, Json]]) -> str:
    return f"<h2>{escape(name)}</h2>\n" + _lines(_operation(*operation) for operation in operations)


def _operation(method: str, path: str, operation: Json) -> str:
    return f"""<section id="{escape(operation["operationId"])}">
<h3>{_badge(method)} <code>{escape(path)}</code></h3>
<p><strong>{escape(operation["summary"])}.</strong> {_prose(operation.get("description", ""))}</p>
{_lines(_details(operation))}
</section>"""


def _details(operation: Json) -> Iterator[str]:
    for needed in operation["security"]:
        keys = " or ".join(_KEYS[name] for name in needed)
        yield f'<p class="key">Needs the {keys}: <code>Authorization: Bearer KEY</code>.</p>'
    if parameters := operation.get("parameters"):
        rows = ((p["name"], p["in"], "required" if p["required"] else "", _prose(p["description"])) for p in parameters)
        yield _table(("parameter", "in", "", "meaning"), rows)
    if "requestBody" in operation:
        yield f"<p>Body: {_contents_of(operation['requestBody'])}</p>"
    responses = operation["responses"].items()
    yield _table(("status", "meaning", "content"), ((s, _meaning(r), _contents_of(r)) for s, r in responses))


def _meaning(response: Json) -> str:
    headers = response.get("headers", {}).items()
    lines = (f"<br>Header <code>{escape(name)}</code>: {_prose(header['description'])}" for name, header in headers)
    return _prose(response["description"]) + _lines(lines)


def _contents_of(holder: Json) -> str:
    contents = holder.get("content", {}).items()
    return "<br>".join(f"<code>{escape(kind)}</code> {_kind(content['schema'])}" for kind, content in contents)


def _schema(name: str, schema: Json) -> str:
    required = schema.get("required", ())
    rows = [
        (
            key,
            _kind(field),
            "required" if key in required else "",
            _prose(field.get("description", "")) + _default(field),
        )
        for key, field in schema.get("properties", {}).items()
    ]
    return f"""<section id="schema-{escape(name)}">
<h3>{escape(name)}</h3>
<p>{_prose(schema.get("description", ""))}</p>
{_table(("field", "type", "", "meaning"), rows) if rows else ""}
</section>"""


def _kind(schema: Json) -> str:
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#schema-{name}">{name}</a>'
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return " or ".join(map(_kind, schema[union]))
    if "const" in schema or "enum" in schema:
        return " or ".join(f"<code>{escape(repr(value))}</code>" for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    limits = ", ".join(f"{word} {schema[key]:,}" for key, word in _LIMITS.items() if key in schema)
    return escape(str(schema.get("type", "anything"))) + (f" ({limits})" if limits else "")


def _default(field: Json) -> str:
    default = field.get("default")
    return "" if default is None else f" Default: <code>{escape(repr(default))}</code>."


def _table(header: Iterable[str], rows: Iterable[tuple[str, ...]]) -> str:
    """Make a table; the first cell of a row is text, the others are HTML."""
    head = "".join(f"<th>{cell}</th>" for cell in header)
    body = _lines(
        f"<tr><th><code>{escape(first)}</code></th>{''.join(f'<td>{cell}</td>' for cell in others)}</tr>"
        for first, *others in rows
    )
    return f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>'


def _badge(method: str) -> str:
    return f'<span class="method {escape(method)}">{escape(method.upper())}</span>'


def _prose(text: str) -> str:
    """Escape a text; text between backticks is code."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))


def _lines(parts: Iterable[str]) -> str:
    return "\n".join(parts)
