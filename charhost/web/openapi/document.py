"""The OpenAPI 3.1 document, made from the declarations of the handlers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from http import HTTPStatus
from typing import Any, get_args

from aiohttp import hdrs, web
from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode
from pydantic_core import CoreSchema

import charhost
from charhost.jsontext import Json
from charhost.settings import Settings
from charhost.web.openapi.operation import PROBLEM, Answer, Operation, Parameter, Tag, operation_of
from charhost.web.problems import reads_openai_errors
from charhost.web.schemas import OpenAIError, ProblemDocument

_REFS = "#/components/schemas/{model}"
# Responses to a caller without the right key, by the kind of key that an operation needs.
_REFUSALS: Mapping[str, Mapping[int, str]] = {
    "anybody": {},
    "chat": {401: "The API key is wrong or missing (`CHARHOST_API_KEY`)."},
    "admin": {
        401: "The admin key (`CHARHOST_ADMIN_KEY`) is wrong or missing (`invalid_key`).",
        403: "There is no admin key, and the caller is not local.",
    },
}
_INTRODUCTION = (
    "Characters are Python files, which the server executes. A caller that may reload may run code on it: without "
    "`CHARHOST_ADMIN_KEY` that is every local caller. Chat is open to every caller unless `CHARHOST_API_KEY` is set."
)


def document(routes: Iterable[web.AbstractRoute], settings: Settings) -> Json:
    """Return the document of these routes; raise `LookupError` for a route without a declaration."""
    operations = list(_operations(routes))
    schemas = _Schemas(_models(operations))
    security = _security(settings)
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
        "components": {"schemas": schemas.definitions, "securitySchemes": _security_schemes()},
    }


class _Plain(GenerateJsonSchema):
    """Makes schemas without titles, which would only repeat the names of the fields."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


class _Schemas:
    """The schemas of all models in the document, each defined once and used by reference."""

    def __init__(self, models: Mapping[Any, JsonSchemaMode]) -> None:
        inputs: list[tuple[Any, JsonSchemaMode, CoreSchema]] = [
            (model, mode, TypeAdapter(model).core_schema) for model, mode in models.items()
        ]
        schemas, self.definitions = _Plain(ref_template=_REFS).generate_definitions(inputs)
        self._schemas = {model: schema for (model, _), schema in schemas.items()}

    def of(self, model: Any) -> Json:
        """Return the schema of a model, or of text for `str`."""
        return {"type": "string"} if model is str else self._schemas[model]


def _operations(routes: Iterable[web.AbstractRoute]) -> Iterator[tuple[web.AbstractRoute, Operation]]:
    for route in routes:
        if route.method == hdrs.METH_HEAD:  # aiohttp adds one to each GET
            continue
        operation = operation_of(route.handler)
        if operation is None:
            raise LookupError(f"{route.method} {_path(route)} has no declaration (@described)")
        yield route, operation


def _models(operations: Iterable[tuple[web.AbstractRoute, Operation]]) -> dict[Any, JsonSchemaMode]:
    models: dict[Any, JsonSchemaMode] = {ProblemDocument: "serialization", OpenAIError: "serialization"}
    for _, operation in operations:
        if operation.body is not None:
            models[operation.body] = "validation"
        answers = (*operation.answers.values(), *operation.errors.values())
        contents = [answer.content or {} for answer in answers if isinstance(answer, Answer)]
        models |= {model: "serialization" for content in contents for model in content.values() if model is not str}
    return models


def _operation(route: web.AbstractRoute, operation: Operation, schemas: _Schemas) -> Json:
    described: Json = {
        "operationId": getattr(route.handler, "__name__", ""),
        "tags": [operation.tag],
        "summary": operation.summary,
        "responses": _responses(_path(route), operation, schemas),
    }
    if operation.description:
        described["description"] = operation.description
    if operation.parameters:
        described["parameters"] = [_parameter(parameter) for parameter in operation.parameters]
    if operation.body is not None:
        content = {"application/json": {"schema": schemas.of(operation.body)}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _responses(path: str, operation: Operation, schemas: _Schemas) -> Json:
    refusals = {500: "Unexpected error; see the server's log.", **_REFUSALS[operation.needs], **operation.errors}
    answers = dict(operation.answers) | {
        status: _refusal(path, status, meaning) for status, meaning in refusals.items()
    }
    return {str(status): _response(answers[status], schemas) for status in sorted(answers)}


def _refusal(path: str, status: int, meaning: str | Answer) -> Answer:
    answer = meaning if isinstance(meaning, Answer) else Answer(meaning)
    headers = dict(answer.headers)
    if status == HTTPStatus.UNAUTHORIZED:
        headers[hdrs.WWW_AUTHENTICATE] = "`Bearer`"
    usual = {"application/json": OpenAIError} if reads_openai_errors(path) else {PROBLEM: ProblemDocument}
    return Answer(answer.description, answer.content or usual, headers)


def _response(answer: Answer, schemas: _Schemas) -> Json:
    described: Json = {"description": answer.description}
    if answer.content is not None:
        described["content"] = {kind: {"schema": schemas.of(model)} for kind, model in answer.content.items()}
    if answer.headers:
        described["headers"] = {
            name: {"description": text, "schema": {"type": "string"}} for name, text in answer.headers.items()
        }
    return described


def _parameter(parameter: Parameter) -> Json:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.required or parameter.place == "path",
        "description": parameter.description,
        "schema": dict(parameter.schema),
    }


def _path(route: web.AbstractRoute) -> str:
    assert route.resource is not None
    return route.resource.canonical


def _security(settings: Settings) -> Mapping[str, list[Json]]:
    """Return the security requirements of this server by the kind of key; none where no key is configured."""
    return {
        "anybody": [],
        "chat": [{"apiKey": []}] if settings.api_keys else [],
        "admin": [{"adminKey": []}] if settings.admin_key else [],
    }


def _security_schemes() -> Json:
    return {
        "apiKey": {"type": "http", "scheme": "bearer", "description": "One of `CHARHOST_API_KEY`, or the admin key."},
        "adminKey": {"type": "http", "scheme": "bearer", "description": "`CHARHOST_ADMIN_KEY`."},
    }


class Api:
    """Makes the document of one application at its first use."""

    def __init__(self, router: web.UrlDispatcher, settings: Settings) -> None:
        self._router = router
        self._settings = settings

    @cached_property
    def document(self) -> Json:
        return document(self._router.routes(), self._settings)
