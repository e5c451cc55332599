"""Around every handler: errors become JSON, and the caller's authority is known."""

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from charhost.web.http.middleware import errors_to_json
from charhost.web.http.problems import Problem
from tests.conftest import Client

StartServer = Callable[[Exception], Awaitable[Client]]


@pytest.fixture
def start(aiohttp_client: Callable[..., Awaitable[Client]]) -> StartServer:
    """Starts a server whose only page, `/`, raises."""

    async def start(error: Exception) -> Client:
        async def page(request: web.Request) -> web.Response:
            raise error

        app = web.Application(middlewares=[errors_to_json])
        app.router.add_get("/", page)
        return await aiohttp_client(app)

    return start


async def test_a_problem_becomes_its_document(start: StartServer) -> None:
    """A problem that a handler raises becomes its document, with its fields and headers."""
    client = await start(Problem(409, "busy", "Try later.", {"left": 3}, {"Retry-After": "5"}))
    answer = await client.get("/")
    assert (answer.status, answer.content_type, answer.headers["Retry-After"]) == (409, "application/problem+json", "5")
    assert await answer.json() == {
        "type": "about:blank",
        "title": "Conflict",
        "status": 409,
        "detail": "Try later.",
        "code": "busy",
        "left": 3,
    }


async def test_an_unexpected_error_is_only_in_the_log(start: StartServer, caplog: pytest.LogCaptureFixture) -> None:
    """The response to an unexpected error has no details; the log has its traceback, and no query string, which may
    have keys."""
    answer = await (await start(LookupError("a secret"))).get("/?token=s3cret")
    problem = await answer.json()
    assert (answer.status, problem["code"]) == (500, "internal_error")
    assert "secret" not in str(problem)
    assert "LookupError: a secret" in caplog.text
    assert "s3cret" not in caplog.text


async def test_a_path_cannot_forge_a_line_of_the_log(
    aiohttp_client: Callable[..., Awaitable[Client]], caplog: pytest.LogCaptureFixture
) -> None:
    """Line breaks in a path stay escaped in the log."""

    async def page(request: web.Request) -> web.Response:
        raise LookupError

    app = web.Application(middlewares=[errors_to_json])
    app.router.add_get(r"/{path:[\s\S]*}", page)
    assert (await (await aiohttp_client(app)).get("/a%0Aforged")).status == 500
    assert "GET /a%0Aforged failed" in caplog.text


async def test_a_redirect_stays_a_redirect(start: StartServer) -> None:
    """An exception of aiohttp that is no error passes through."""
    answer = await (await start(web.HTTPFound("/elsewhere"))).get("/", allow_redirects=False)
    assert (answer.status, answer.headers["Location"]) == (302, "/elsewhere")


async def test_an_unknown_path_is_a_problem_document(client: Client) -> None:
    """aiohttp's own 404 becomes a problem document."""
    answer = await client.get("/nowhere")
    problem = await answer.json()
    assert (answer.status, answer.content_type) == (404, "application/problem+json")
    assert (problem["code"], problem["title"], problem["status"]) == ("not_found", "Not Found", 404)


@pytest.mark.parametrize("path", ["/v1/chat", "/v1/chat/nothing", "/v1/modelsx", "/v1/realtime/nothing"])
async def test_clients_of_openai_read_errors_in_its_shape(client: Client, path: str) -> None:
    """On OpenAI's paths an error has the fields of OpenAI, also for an unknown path, which has no code."""
    answer = await client.post(path)
    error = (await answer.json())["error"]
    assert (answer.status, answer.content_type) == (404, "application/json")
    message = f"There is nothing at {path}."
    assert error == {"message": message, "type": "invalid_request_error", "param": None, "code": None}


async def test_a_wrong_method_of_openai_names_the_right_one(client: Client) -> None:
    """A GET of a POST path of OpenAI is refused in OpenAI's shape, with the right method."""
    answer = await client.get("/v1/chat/completions")
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert (await answer.json())["error"]["code"] == "method_not_allowed"


@pytest.mark.parametrize("path", ["/v1", "/chats", "/v1/characters/Eve", "/modelsx"])
async def test_other_paths_answer_with_problem_documents(client: Client, path: str) -> None:
    """A path that only begins like one of OpenAI's has problem documents."""
    assert (await client.get(path)).content_type == "application/problem+json"


async def test_a_wrong_method_names_the_right_ones(client: Client) -> None:
    """aiohttp's own 405 keeps its `Allow`."""
    answer = await client.post("/v1/health")
    problem = await answer.json()
    assert (answer.status, problem["code"]) == (405, "method_not_allowed")
    assert problem["detail"] == "POST is not allowed on /v1/health; use GET or HEAD."
    assert set(answer.headers["Allow"].split(",")) == {"GET", "HEAD"}


async def test_what_is_only_posted_to_is_no_character(client: Client) -> None:
    """A GET of the path of the reload is the wrong method, not a character that does not exist."""
    answer = await client.get("/v1/characters/reload")
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")


async def test_reload_cannot_be_asked_for_with_get(client: Client) -> None:
    """A link, which any page may hold, reloads nothing."""
    answer = await client.get("/v1/characters/reload")
    assert answer.status in (404, 405)


async def test_admin_guards_a_handler(client: Client) -> None:
    """A handler for admins is not called for other clients."""
    assert (await client.get("/v1/characters/status")).status == 200
    assert (await client.get("/v1/characters/status", headers={"Origin": "http://evil.com"})).status == 403


async def test_a_refusal_is_no_error_of_the_server(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """A refusal is not logged as an error of the server."""
    await client.get("/nowhere")
    await client.get("/v1/characters/status", headers={"Origin": "http://evil.com"})
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_refusal_holds_nothing_of_its_request(aiohttp_client: Callable[..., Awaitable[Client]]) -> None:
    """What the handler of a refused request had is freed with the response, without the collector."""
    gone = list[weakref.ref[object]]()

    async def page(request: web.Request) -> web.Response:
        body = Body()
        gone.append(weakref.ref(body))
        raise Problem(413, "request_too_large", "Too large.")

    app = web.Application(middlewares=[errors_to_json])
    app.router.add_get("/", page)
    client = await aiohttp_client(app)
    gc.collect()
    gc.disable()
    try:
        assert (await client.get("/")).status == 413
        assert gone[0]() is None
    finally:
        gc.enable()


class Body:
    """The body of a request."""
