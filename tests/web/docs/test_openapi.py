"""The OpenAPI document describes the routes."""

from __future__ import annotations

import functools
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from pydantic import BaseModel, SecretStr

import charhost
from charhost.fleet.engine.memory import MemoryEngine, MemoryStore
from charhost.reload.request import ReloadRequest
from charhost.settings import Settings
from charhost.web.app import create_app
from charhost.web.docs.openapi import document
from charhost.web.http.operation import Operation, Response
from charhost.web.keys import API
from charhost.web.reload_documents import RejectedReload
from tests.conftest import Client

StartClient = Callable[..., Awaitable[Client]]

API_KEY, ADMIN_KEY = "chat-key", "admin-key"
# Paths in which the placeholders of the document are filled.
FILLED = {
    "/v1/characters/{name}": "/v1/characters/Ada",
    "/v1/models/{id}": "/v1/models/Ada",
    "/v1/sets/{name}": "/v1/sets/gaming",
    "/v1/fleet/rollouts/{epoch}": "/v1/fleet/rollouts/1",
    "/v1/responses/{id}": "/v1/responses/x",
    "/v1/responses/{id}/cancel": "/v1/responses/x/cancel",
    "/v1/responses/{id}/input_items": "/v1/responses/x/input_items",
    "/docs/{page}": "/docs/style.css",
}


@functools.cache
def spec(**keys: str) -> Any:
    """The document of a server with these keys."""
    return create_app(Settings(**keys))[API].document


OPERATIONS = [(method, path) for path, methods in spec()["paths"].items() for method in methods]


async def test_it_can_be_asked_for_without_a_key(aiohttp_client: StartClient, settings: Settings) -> None:
    """The document and its page need no key, where everything else does."""
    keyed = Settings(directory=settings.directory, api_key=API_KEY, admin_key=ADMIN_KEY)
    client = await aiohttp_client(create_app(keyed))
    answers = [await client.get(path) for path in ("/openapi.json", "/docs/api", "/docs", "/docs/style.css")]
    assert [answer.status for answer in answers] == [200, 200, 200, 200]
    assert (await answers[0].json())["openapi"] == "3.1.0"


def test_it_has_the_version_of_the_package() -> None:
    """The document has the version of charhost."""
    assert spec()["info"]["version"] == charhost.__version__


def test_it_has_every_route(settings: Settings) -> None:
    """Each method and path that the application serves is described."""
    routes = create_app(settings).router.routes()
    served = {(r.method.lower(), r.resource.canonical) for r in routes if r.resource and r.method != "HEAD"}
    assert set(OPERATIONS) == served


def test_a_route_without_a_declaration_is_an_error(settings: Settings) -> None:
    """The error names the route of a handler without a declaration."""

    async def page(request: web.Request) -> web.StreamResponse:
        raise NotImplementedError

    app = web.Application()
    app.router.add_get("/secret", page)
    with pytest.raises(LookupError, match="GET /secret has no declaration"):
        document(app.router.routes(), settings)


def test_every_operation_has_a_name_of_its_own() -> None:
    """Generated clients call operations by these names."""
    names = [operation["operationId"] for methods in spec()["paths"].values() for operation in methods.values()]
    assert len(set(names)) == len(OPERATIONS)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_parameter_of_a_path_is_described(method: str, path: str) -> None:
    """Each placeholder of a path is a required parameter."""
    parameters = spec()["paths"][path][method].get("parameters", [])
    described = {parameter["name"] for parameter in parameters if parameter["in"] == "path" and parameter["required"]}
    assert described == set(re.findall(r"{(\w+)}", path))


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
async def test_a_wrong_key_is_refused_as_described(
    aiohttp_client: StartClient, settings: Settings, method: str, path: str
) -> None:
    """Exactly the operations that are described with a key refuse a wrong one with 401."""
    keys = {"api_key": API_KEY, "admin_key": ADMIN_KEY}
    operation = spec(**keys)["paths"][path][method]
    client = await aiohttp_client(create_app(Settings(directory=settings.directory, **keys)))
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    headers = {"Authorization": "Bearer wrong", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="} | upgrade
    answer = await client.request(method, FILLED.get(path, path), headers=headers)
    assert (answer.status == 401) == bool(operation["security"]) == ("401" in operation["responses"])


@pytest.mark.parametrize(
    ("path", "method", "security"),
    [
        ("/v1/characters/reload", "post", [{"adminKey": []}]),
        ("/v1/chat/completions", "post", [{"apiKey": []}]),
        ("/v1/health", "get", []),
    ],
)
def test_each_operation_has_its_key(path: str, method: str, security: list[Any]) -> None:
    """With configured keys admin operations need the admin key, chat an API key, and others none."""
    keyed = spec(api_key=API_KEY, admin_key=ADMIN_KEY)
    assert keyed["paths"][path][method]["security"] == security
    assert spec()["paths"][path][method]["security"] == []


def test_the_body_of_a_reload_is_its_model() -> None:
    """The fields of a reload are described as the README's table has them, and no others may be sent."""
    operation = spec()["paths"]["/v1/characters/reload"]["post"]
    reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    schema = spec()["components"]["schemas"][reference.rpartition("/")[2]]
    assert list(schema["properties"]) == list(ReloadRequest.model_fields)
    assert schema["additionalProperties"] is False


def test_a_node_of_a_fleet_has_more_fields(settings: Settings) -> None:
    """Only there a reload may name the nodes, or a set that was uploaded."""
    in_fleet = settings.model_copy(update={"fleet": "nats://127.0.0.1:1", "fleet_key": SecretStr("k" * 16)})
    described = create_app(in_fleet, fleet=MemoryEngine(MemoryStore()))[API].document
    operation = described["paths"]["/v1/characters/reload"]["post"]
    reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    schema = described["components"]["schemas"][reference.rpartition("/")[2]]
    assert schema["properties"].keys() - ReloadRequest.model_fields.keys() == {"nodes", "uploaded"}


async def test_a_refused_reload_is_as_described(client: Client) -> None:
    """The response to a reload of a missing directory has the described shape."""
    answer = await client.post("/v1/characters/reload", json={"directory": "/missing"})
    rejected = RejectedReload.model_validate_json(await answer.read())
    assert (rejected.status, rejected.code, rejected.outcome) == (404, "directory_not_found", "rejected")


def test_the_websocket_is_a_get_that_upgrades() -> None:
    """The route of the WebSocket is described with 101, and with errors in OpenAI's shape."""
    answers = spec()["paths"]["/v1/realtime"]["get"]["responses"]
    assert set(answers) == {"101", "401", "403", "421", "426", "500", "503"}
    assert "content" not in answers["101"]
    assert answers["426"]["content"]["application/json"]["schema"]["$ref"].endswith("/OpenAIError")


@pytest.mark.parametrize(("path", "kind"), [("/v1/models/{id}", "json"), ("/v1/characters/{name}", "problem+json")])
def test_errors_have_the_shape_of_their_path(path: str, kind: str) -> None:
    """Errors of OpenAI's endpoints have OpenAI's shape, all others are problem documents."""
    assert list(spec()["paths"][path]["get"]["responses"]["404"]["content"]) == [f"application/{kind}"]


def test_a_declaration_adds_nothing_to_its_handler() -> None:
    """The decorator returns the handler itself."""

    class Nothing(BaseModel):
        pass

    async def page(request: web.Request) -> web.StreamResponse:
        raise NotImplementedError

    operation = Operation("Nothing", "About", responses={200: Response.json(Nothing, "Nothing.")})
    assert operation(page) is page


def test_every_reference_leads_somewhere() -> None:
    """Each referenced schema exists."""
    names = {f"#/components/schemas/{name}" for name in spec()["components"]["schemas"]}
    assert set(references(spec())) <= names


def references(value: Any) -> list[str]:
    """Every `$ref` within a document."""
    if isinstance(value, dict):
        return [value["$ref"]] if "$ref" in value else references(list(value.values()))
    return [found for item in value for found in references(item)] if isinstance(value, list) else []
