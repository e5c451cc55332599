"""The OpenAPI 3.1 document, made from the declarations of the handlers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, get_args

from aiohttp import hdrs, web
from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

import charhost
from charhost.errors import ReloadCode
from charhost.jsontext import Json
from charhost.settings import Settings
from charhost.web.http.later import loaded
from charhost.web.http.operation import PROBLEM, Operation, Response, Tag, operation_of
from charhost.web.http.paths import reads_openai_errors
from charhost.web.http.problem_document import OpenAIError, ProblemDocument

# The schemas of models, each for requests ("validation") or for responses ("serialization").
_Schemas = Mapping[tuple[Any, JsonSchemaMode], Json]

_CHALLENGE: Mapping[str, str] = {hdrs.WWW_AUTHENTICATE: "`Bearer`"}
_OTHER_HOST = "No API key is configured, and the `Host` is neither a name of this machine nor among `--allowed-hosts`."
# Responses to a caller without the right key, by the kind of key that an operation needs.
_REFUSALS: Mapping[str, Mapping[int, str | Response]] = {
    "open": {421: _OTHER_HOST},
    "chat": {
        401: Response("The API key is wrong or missing (`CHARHOST_API_KEY`).", headers=_CHALLENGE),
        403: "The caller is a page of an origin that `--cors-origin` does not allow.",
        421: _OTHER_HOST,
    },
    "admin": {
        401: Response("The admin key (`CHARHOST_ADMIN_KEY`) is wrong or missing (`invalid_key`).", headers=_CHALLENGE),
        403: "There is no admin key, and the caller is not local.",
    },
}
# Responses to the bodies of requests that `json_body` reads.
_BODY_REFUSALS: Mapping[int, str | Response] = {
    400: "The body is no JSON object with these fields (`invalid_request`).",
    408: "The body did not arrive in time (`request_timeout`).",
    413: "The body is too large (`request_too_large`).",
    415: ReloadCode.UNSUPPORTED_MEDIA_TYPE.meaning,
    429: "The server has no memory left for the body (`rate_limit_exceeded`).",
}
_INTRODUCTION = (
    "Characters are Python files, which the server executes. A caller that may reload may run code on it: without "
    "`CHARHOST_ADMIN_KEY` that is every local caller. Chat is open to every program unless `CHARHOST_API_KEY` is set."
)
_FILE = {"type": "string", "format": "binary"}
_SECURITY_SCHEMES = {
    "apiKey": {"type": "http", "scheme": "bearer", "description": "One of `CHARHOST_API_KEY`, or the admin key."},
    "adminKey": {"type": "http", "scheme": "bearer", "description": "`CHARHOST_ADMIN_KEY`."},
}


def document(routes: Iterable[web.AbstractRoute], settings: Settings) -> Json:
    """Return the document of these routes; raise `LookupError` for a route without a declaration."""
    # aiohttp adds a route for HEAD to each GET.
    in_fleet = settings.fleet is not None
    operations = [(route, _declaration(route, in_fleet)) for route in routes if route.method != hdrs.METH_HEAD]
    schemas, definitions = _schemas(operation for _, operation in operations)
    security: dict[str, list[Json]] = {
        "open": [],
        "chat": [{"apiKey": []}] if settings.api_keys else [],
        "admin": [{"adminKey": []}] if settings.admin_key else [],
    }
    paths: Json = {}
    for route, operation in operations:
        described = _operation(route, operation, schemas) | {"security": security[operation.needs]}
        paths.setdefault(_path(route), {})[route.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "charhost",
            "version": charhost.__version__,
            "description": _INTRODUCTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "The server that this document comes from."}],
        "tags": [{"name": name} for name in get_args(Tag)],
        "paths": paths,
        "components": {"schemas": definitions["$defs"], "securitySchemes": _SECURITY_SCHEMES},
    }


def _declaration(route: web.AbstractRoute, in_fleet: bool) -> Operation:
    """Return the declaration of a route, with the errors among its responses."""
    operation, path = operation_of(loaded(route.handler)), _path(route)
    if operation is None:
        raise LookupError(f"{route.method} {path} has no declaration (@Operation)")
    if in_fleet and operation.fleet_body is not None:
        operation = replace(operation, body=operation.fleet_body)
    usual = {"application/json": OpenAIError} if reads_openai_errors(path) else {PROBLEM: ProblemDocument}
    responses = dict(operation.responses)
    errors = dict(_REFUSALS[operation.needs]) | {500: "Unexpected error; see the server's log."}
    if operation.body is not None:
        errors |= _BODY_REFUSALS
    errors |= operation.errors
    for status, meaning in errors.items():
        error = meaning if isinstance(meaning, Response) else Response(meaning)
        responses[status] = replace(error, content=error.content or usual)
    return replace(operation, responses=dict(sorted(responses.items())))


class _Plain(GenerateJsonSchema):
    """Makes schemas without titles, which would only repeat the names of the fields."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _schemas(operations: Iterable[Operation]) -> tuple[_Schemas, Json]:
    """Return the schema of each model that the operations use, and the definitions to which the schemas refer."""
    models: dict[tuple[Any, JsonSchemaMode], None] = {}
    for operation in operations:
        if operation.body is not None:
            models[operation.body, "validation"] = None
        for response in operation.responses.values():
            models |= {(model, "serialization"): None for model in response.content.values()}
    return TypeAdapter.json_schemas(
        ((model, mode, TypeAdapter(model)) for model, mode in models),
        schema_generator=_Plain,
        ref_template="#/components/schemas/{model}",
    )


def _operation(route: web.AbstractRoute, operation: Operation, schemas: _Schemas) -> Json:
    described: Json = {
        "operationId": getattr(loaded(route.handler), "__name__", ""),
        "tags": [operation.tag],
        "summary": operation.summary,
        "responses": {str(status): _response(found, schemas) for status, found in operation.responses.items()},
    }
    if operation.description:
        described["description"] = operation.description
    if operation.parameters:
        described["parameters"] = [
            {
                "name": parameter.name,
                "in": parameter.place,
                "required": parameter.place == "path",
                "description": parameter.description,
                "schema": dict(parameter.schema),
            }
            for parameter in operation.parameters
        ]
    if operation.body is not None:
        content = {"application/json": {"schema": schemas[operation.body, "validation"]}}
        described["requestBody"] = {"required": True, "content": content}
    if operation.file is not None:
        described["requestBody"] = {"required": True, "content": {operation.file: {"schema": _FILE}}}
    return described


def _response(response: Response, schemas: _Schemas) -> Json:
    described: Json = {"description": response.description}
    if response.content:
        content = {kind: {"schema": schemas[model, "serialization"]} for kind, model in response.content.items()}
        described["content"] = content
    if response.headers:
        described["headers"] = {
            name: {"description": text, "schema": {"type": "string"}} for name, text in response.headers.items()
        }
    return described


def _path(route: web.AbstractRoute) -> str:
    assert route.resource is not None
    return route.resource.canonical
