"""Reload, status and metrics over HTTP."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from charhost.reload.request import ReloadRequest
from charhost.settings import Settings
from charhost.web.app import create_app
from charhost.web.keys import SETS
from tests.conftest import Client, character
from tests.reload.helpers import Gate, Write
from tests.web.named_set import client, set_name, start_app

__all__ = ["client", "set_name", "start_app"]

RELOAD = "/v1/characters/reload"
RELOADS = "/v1/characters/reloads"
ROLLBACK = "/v1/characters/rollback"
JSON = {"Content-Type": "application/json"}


async def get(client: Client, path: str) -> Any:
    """The JSON at a path."""
    answer = await client.get(path)
    assert answer.status == 200
    return await answer.json()


# POST /v1/characters/reload


async def test_a_reload_answers_with_its_report(client: Client, directory: Path, write: Write) -> None:
    """The response to a reload is its report."""
    write("bob.py", character("Bob"))
    answer = await client.post(RELOAD, json={"directory": str(directory)})
    report = await answer.json()
    assert (answer.status, answer.content_type) == (200, "application/json")
    assert (report["success"], report["outcome"], report["trigger"]) == (True, "applied", "http")
    assert (report["loaded_count"], report["total_files"], report["error_count"]) == (2, 2, 0)
    assert report["changes"] == {"added": ["Bob"], "removed": [], "modified": [], "unchanged": 1}
    assert report["message"] == f"Successfully loaded 2 characters from {directory}"


@pytest.mark.parametrize("reloads", [20, pytest.param(200, marks=pytest.mark.slow)])
async def test_what_was_applied_is_what_is_read(client: Client, write: Write, reloads: int) -> None:
    """After each of many reloads the next GET and the next session have the reported set (promise 1)."""
    for turn in range(reloads):
        write("ada.py", character(f"Ada {turn}"))
        report = await (await client.post(RELOAD, json={"sessions": "keep"})).json()
        catalog = await get(client, "/v1/characters")
        assert [found["name"] for found in catalog["characters"]] == [f"Ada {turn}"]
        assert (catalog["generation"], catalog["revision"]) == (report["generation"], report["revision"])
        async with client.ws_connect("/v1/realtime?dialect=ga") as ws:
            assert (await ws.receive_json())["session"]["model"].removeprefix("gaming/") == f"Ada {turn}"


async def test_a_flood_of_reloads_keeps_their_order(client: Client, directory: Path, tmp_path: Path) -> None:
    """Each of two hundred has a report, clients are served meanwhile, and the last request has the last word."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "bob.py").write_text(character("Bob"))
    bodies = [{"directory": str((tmp_path / "other", directory)[number % 2])} for number in range(200)]
    posts = [asyncio.create_task(client.post(RELOAD, json=body)) for body in bodies]
    while not all(post.done() for post in posts):
        assert (await client.get("/v1/health")).status == 200
    reports = [await (await post).json() for post in posts]
    assert {report["outcome"] for report in reports} == {"applied"}
    assert [entry["name"] for entry in (await get(client, "/v1/characters"))["characters"]] == ["Ada"]


async def test_default_is_the_directory_of_the_start(client: Client, directory: Path, tmp_path: Path) -> None:
    """The word `default` leads back to the directory the server was started with."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "bob.py").write_text(character("Bob"))
    await client.post(RELOAD, json={"directory": str(tmp_path / "other")})
    report = await (await client.post(RELOAD, json={"directory": "default"})).json()
    assert report["directory"] == str(directory)
    assert report["changes"] == {"added": ["Ada"], "removed": ["Bob"], "modified": [], "unchanged": 0}


async def test_an_error_has_the_traceback_that_admins_may_see(client: Client, write: Write) -> None:
    """The error of a failed file has its place and its traceback."""
    write("bob.py", "\n\n1 / 0")
    (error,) = (await (await client.post(RELOAD, json={})).json())["errors"]
    assert error.pop("traceback").endswith("ZeroDivisionError: division by zero\n")
    assert error == {
        "file": "bob.py",
        "line": 3,
        "character": None,
        "error_type": "ZeroDivisionError",
        "exception": "ZeroDivisionError",
        "message": "division by zero",
    }


async def test_a_refusal_is_a_problem_document_with_the_report(client: Client, write: Write) -> None:
    """A refusal has the fields of a problem document and those of the report."""
    write("bob.py", "def broken(:")
    answer = await client.post(RELOAD, json={"on_error": "abort"})
    problem = await answer.json()
    assert (answer.status, answer.content_type) == (422, "application/problem+json")
    assert (problem["type"], problem["status"], problem["code"]) == ("about:blank", 422, "set_rejected")
    assert problem["title"].startswith("Unprocessable")
    assert problem["detail"] == problem["message"]
    assert (problem["outcome"], [error["file"] for error in problem["errors"]]) == ("rejected", ["bob.py"])


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
async def test_json_may_be_labelled_in_any_usual_way(client: Client, content_type: str) -> None:
    """Parameters and capitals of the content type do not matter."""
    assert (await client.post(RELOAD, data=b"{}", headers={"Content-Type": content_type})).status == 200


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_a_form_is_not_accepted(client: Client, content_type: str) -> None:
    """A content type that a foreign page can post without a preflight request is refused, and named."""
    answer = await client.post(RELOAD, data=b"{}", headers={"Content-Type": content_type})
    assert (answer.status, (await answer.json())["code"]) == (415, "unsupported_media_type")
    assert content_type in (await answer.json())["detail"]


async def test_a_missing_content_type_is_not_accepted(client: Client) -> None:
    """A body without a label is refused."""
    answer = await client.post(RELOAD, data=b"{}", skip_auto_headers=["Content-Type"])
    assert (answer.status, (await answer.json())["detail"]) == (
        415,
        "Expected Content-Type: application/json, found none.",
    )


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "Invalid JSON: EOF"),
        (b"{", "Invalid JSON: EOF"),
        (b"[]", "an object"),
        (b"null", "an object"),
        (b'{"directory": "characters"}', "directory: expected an absolute path or \"default\", found 'characters'"),
        (b'{"directory": "/a\\u0000b"}', "directory: a path cannot hold a NUL character"),
        (b'{"directory": "/\\ud800"}', "Invalid JSON"),
        (b'{"directory": 5}', "directory: Input should be a valid string, found 5"),
        (b'{"on_error": "x"}', "on_error: Input should be 'exclude', 'keep' or 'abort', found 'x'"),
        (b'{"dry_run": "yes"}', "dry_run: Input should be a valid boolean, found 'yes'"),
        (b'{"scope": {"all": null}}', "scope: Input should be 'all' or 'changed', found {\"all\":null}"),
        (b'{"reason": "' + b"x" * 2000 + b'"}', f"at most 1000 characters, found '{'x' * 79}…"),
        (b'{"colour": 1}', "unknown field colour; expected one of set, directory, scope, sessions"),
        (b"\xff", "Invalid JSON"),
    ],
)
async def test_a_bad_request_names_the_field(client: Client, body: bytes, words: str) -> None:
    """The detail of a 400 names the field and the expected value."""
    answer = await client.post(RELOAD, data=body, headers=JSON)
    problem = await answer.json()
    assert (answer.status, problem["code"]) == (400, "invalid_request")
    assert words in problem["detail"]


async def test_several_mistakes_are_reported_at_once(client: Client) -> None:
    """Several mistakes are in one detail."""
    detail = (await (await client.post(RELOAD, json={"colour": 1, "dry_run": 5})).json())["detail"]
    assert "unknown field colour" in detail
    assert "dry_run: " in detail


@pytest.mark.parametrize(("size", "status"), [(64 << 10, 200), ((64 << 10) + 1, 413), (1 << 20, 413)])
async def test_a_body_has_its_limit(client: Client, size: int, status: int) -> None:
    """Up to 64 KiB are read, more is refused."""
    answer = await client.post(RELOAD, data=b"{}".ljust(size), headers=JSON)
    assert answer.status == status
    if status == 413:
        problem = await answer.json()
        assert (problem["code"], problem["detail"]) == (
            "request_too_large",
            "The request body is larger than 65,536 bytes.",
        )


async def test_a_body_that_does_not_come_is_given_up(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that is not complete at its deadline is refused."""
    monkeypatch.setattr("charhost.web.http.body.BODY_DEADLINE", 0.1)
    done = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"{"
        await done.wait()

    answer = await client.post(RELOAD, data=body(), headers=JSON)
    problem = await answer.json()
    assert (answer.status, problem["code"]) == (408, "request_timeout")
    assert problem["detail"] == "The request body did not arrive within 0.1 s."
    done.set()


async def test_a_client_that_leaves_does_not_stop_the_reload(client: Client, write: Write, gate: Gate) -> None:
    """A reload is carried out although its caller has hung up (promise 15)."""
    write("ada.py", f"{character('Ada', 'Be brief.')}\nimport gate; gate.wait()")
    post = asyncio.create_task(client.post(RELOAD, json={}))
    await gate.until_reached()
    post.cancel()
    await asyncio.wait([post])
    gate.opened.set()
    await client.app[SETS].default.manager.reload_characters(ReloadRequest(dry_run=True))  # runs after it
    assert client.app[SETS].default.manager.current.generation == 2


async def test_a_hundred_posts_get_a_hundred_answers(client: Client) -> None:
    """Each of a hundred parallel requests has an applied reload (promise 16)."""
    answers = await asyncio.gather(*(client.post(RELOAD, json={}) for _ in range(100)))
    reports = [await answer.json() for answer in answers]
    assert {(answer.status, report["outcome"]) for answer, report in zip(answers, reports, strict=True)} == {
        (200, "applied")
    }
    assert client.app[SETS].default.manager.current.generation == max(report["generation"] for report in reports)


async def test_a_condition_is_compared_with_what_is_read(client: Client) -> None:
    """With the ETag of `GET /v1/characters` one reload is applied, and the next one is refused."""
    etag = (await client.get("/v1/characters")).headers["ETag"]
    assert re.fullmatch(r'"1-sha256:[0-9a-f]{64}"', etag)
    assert (await client.post(RELOAD, json={}, headers={"If-Match": f'"x", {etag}'})).status == 200
    answer = await client.post(RELOAD, json={}, headers={"If-Match": etag})
    problem = await answer.json()
    assert (answer.status, answer.content_type) == (412, "application/problem+json")
    assert (problem["code"], "outcome" in problem) == ("revision_mismatch", False)
    assert (await client.get("/v1/characters")).headers["ETag"] in problem["detail"]


@pytest.mark.parametrize("form", ["W/{}", "'{}'", '{}"', "", '"*"'])
async def test_what_is_no_strong_tag_matches_nothing(client: Client, form: str) -> None:
    """A weak tag, one without quotes and an empty header are refused; only a bare * stands for any set."""
    etag = (await client.get("/v1/characters")).headers["ETag"]
    form = form.format(etag.strip('"') if "'" in form or form.startswith("{}") else etag)
    assert (await client.post(RELOAD, json={}, headers={"If-Match": form})).status == 412
    assert (await client.post(RELOAD, json={}, headers={"If-Match": " * "})).status == 200


# POST /v1/characters/rollback


async def test_a_rollback_answers_as_a_reload_does(client: Client, write: Write) -> None:
    """The report is the same, and the catalog shows the characters of before (promise 1)."""
    before = await get(client, "/v1/characters")
    write("ada.py", character("Ada", "Be brief."))
    await client.post(RELOAD, json={})
    answer = await client.post(ROLLBACK, json={"generation": 1, "reason": "too brief"})
    report = await answer.json()
    after = await get(client, "/v1/characters")
    assert (answer.status, report["outcome"], report["trigger"]) == (200, "applied", "rollback")
    assert (report["reason"], report["generation"]) == ("too brief", 3)
    assert (after["revision"], after["generation"]) == (before["revision"], 3)


async def test_a_rollback_has_a_session_policy(client: Client, write: Write) -> None:
    """A rollback has a session policy like a reload: `keep` notifies no session, and the default is `close`."""
    write("ada.py", character("Ada", "Be brief."))
    await client.post(RELOAD, json={})
    async with client.ws_connect("/v1/realtime?dialect=ga") as ws:
        assert (await ws.receive_json())["type"] == "session.created"
        kept = await (await client.post(ROLLBACK, json={"sessions": "keep"})).json()
        assert kept["sessions"] == {"policy": "keep", "total": 1, "affected": 0}
        closed = await (await client.post(ROLLBACK, json={"drain_seconds": 0})).json()
        assert closed["sessions"] == {"policy": "close", "total": 1, "affected": 1}
        assert (await ws.receive_json())["error"]["code"] == "characters_reloaded"


async def test_a_rollback_restores_all_or_nothing(client: Client, write: Write, tmp_path: Path) -> None:
    """A character that cannot be built again refuses the rollback, and is named."""
    needed = tmp_path / "needed"
    needed.touch()
    write("bob.py", f"open({str(needed)!r}).close()\n{character('Bob')}")
    await client.post(RELOAD, json={})
    needed.unlink()
    answer = await client.post(ROLLBACK, json={"generation": 2})
    problem = await answer.json()
    assert (answer.status, problem["code"], problem["errors"][0]["file"]) == (422, "set_rejected", "bob.py")
    assert client.app[SETS].default.manager.current.generation == 2


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"generation": "1"}', "generation: Input should be a valid integer"),
        (b'{"generation": -1}', "generation: Input should be greater than or equal to 0"),
        (b'{"generation": 99999999999999999999}', None),
        (b'{"scope": "all"}', "unknown field scope; expected one of set, generation, sessions, drain_seconds, reason"),
    ],
)
async def test_a_bad_rollback_names_the_field(client: Client, body: bytes, words: str | None) -> None:
    """The detail names the field; a number that no generation ever has is only unknown."""
    answer = await client.post(ROLLBACK, data=body, headers=JSON)
    problem = await answer.json()
    if words is None:
        assert (answer.status, problem["code"]) == (409, "unknown_generation")
    else:
        assert (answer.status, problem["code"]) == (400, "invalid_request")
        assert words in problem["detail"]


# GET /v1/characters/reloads


async def test_history_has_every_attempt(client: Client, write: Write) -> None:
    """The history has every attempt, the newest first, also refused ones, and the generations that can be restored
    (promise 31)."""
    write("ada.py", "def broken(:")
    refusal = await (await client.post(RELOAD, json={"reason": "a try"})).json()
    history = await get(client, "/v1/characters/reloads")
    assert [(report["trigger"], report["outcome"]) for report in history["reloads"]] == [
        ("http", "rejected"),
        ("startup", "applied"),
    ]
    assert history["reloads"][0].items() <= refusal.items()
    assert history["generations"] == [1]
    found = await get(client, f"/v1/characters/reloads/{refusal['reload_id']}")
    assert found == history["reloads"][0]


async def test_history_is_as_long_as_asked_for(client: Client) -> None:
    """The history has twenty attempts, or as many as the limit."""
    for _ in range(22):
        await client.post(RELOAD, json={"dry_run": True})
    lengths = {path: len((await get(client, path))["reloads"]) for path in (RELOADS, f"{RELOADS}?limit=3")}
    assert lengths == {RELOADS: 20, f"{RELOADS}?limit=3": 3}
    assert len((await get(client, f"{RELOADS}?limit=100"))["reloads"]) == 23


@pytest.mark.parametrize("limit", ["0", "101", "-1", "x", "", "1.5", "1e1", " 1", "\u0663", "1_0", "000"])
async def test_a_limit_is_a_number_from_1_to_100(client: Client, limit: str) -> None:
    """A limit outside of 1 to 100 is a bad request with the reason."""
    answer = await client.get(RELOADS, params={"limit": limit})
    problem = await answer.json()
    assert (answer.status, problem["code"]) == (400, "invalid_request")
    assert problem["detail"] == f"limit: expected a number from 1 to 100, found {limit!r}"


async def test_an_unknown_reload_is_not_found(client: Client) -> None:
    """An unknown id is not found, and not repeated in the response."""
    answer = await client.get(f"{RELOADS}/f00")
    assert (answer.status, (await answer.json())["code"]) == (404, "reload_not_found")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/characters/reloads"),
        ("GET", "/v1/characters/reloads/f00"),
        ("POST", "/v1/characters/rollback"),
        ("POST", "/v1/characters/watch/resume"),
    ],
)
async def test_history_is_for_admins(client: Client, method: str, path: str) -> None:
    """Other clients learn neither paths nor whether an id exists (promise 34)."""
    answer = await client.request(method, path, json={}, headers={"Origin": "http://evil.com"})
    assert (answer.status, (await answer.json())["code"]) == (403, "forbidden")


# POST /v1/characters/watch/resume


async def test_without_a_watcher_there_is_nothing_to_resume(client: Client) -> None:
    """Without a watcher a resume is refused with the reason."""
    answer = await client.post("/v1/characters/watch/resume")
    assert (answer.status, (await answer.json())["code"]) == (409, "no_watcher")


async def test_resuming_answers_with_the_watcher(
    aiohttp_client: Callable[..., Awaitable[Client]], directory: Path, write: Write
) -> None:
    """After a rollback the watcher is held, and a resume returns its status."""
    client = await aiohttp_client(create_app(Settings(directory=directory, watch=True)))
    write("ada.py", character("Ada", "Be brief."))
    async with asyncio.timeout(60):
        while client.app[SETS].default.manager.current.generation < 2:
            await asyncio.sleep(0.01)
    await client.post(ROLLBACK, json={})
    assert (await get(client, "/v1/characters/status"))["watcher"]["held"] is True
    answer = await client.post("/v1/characters/watch/resume")
    assert (answer.status, (await answer.json())["held"]) == (200, False)


# GET /v1/characters/status


async def test_status_has_the_first_load(client: Client) -> None:
    """After the start the status has the first load, and no error."""
    status = await get(client, "/v1/characters/status")
    fields = [
        "set",
        "serving",
        "last_reload",
        "last_error",
        "in_progress",
        "watcher",
        "generations",
        "state_file",
        "left_out",
        "left_running",
    ]
    assert list(status) == fields
    assert (status["serving"]["generation"], status["serving"]["characters"]) == (1, 1)
    assert (status["last_reload"]["trigger"], status["last_reload"]["outcome"]) == ("startup", "applied")
    assert (status["last_error"], status["in_progress"], status["watcher"]) == (None, None, None)


async def test_status_does_not_depend_on_the_disk(client: Client, directory: Path) -> None:
    """A directory that changes or vanishes leaves status and catalog as they are (promise 3)."""
    pages = ("/v1/characters/status", "/v1/characters", "/v1/voices", "/v1/health")
    before = [await get(client, page) for page in pages]
    shutil.rmtree(directory)
    assert [await get(client, page) for page in pages] == before


async def test_status_keeps_the_last_error_until_it_is_mended(client: Client, write: Write) -> None:
    """A refused reload stays the last error until a good one, while the set before it serves."""
    write("ada.py", "def broken(:")
    await client.post(RELOAD, json={"reason": "a try"})
    status = await get(client, "/v1/characters/status")
    assert status["last_error"] == status["last_reload"]
    assert (status["last_error"]["outcome"], status["last_error"]["reason"]) == ("rejected", "a try")
    assert status["serving"]["generation"] == 1


async def test_status_has_the_running_reload(client: Client, write: Write, gate: Gate) -> None:
    """During a reload the status is returned, with its id."""
    write("ada.py", f"{character('Ada')}\nimport gate; gate.wait()")
    post = asyncio.create_task(client.post(RELOAD, json={}))
    await gate.until_reached()
    running = (await get(client, "/v1/characters/status"))["in_progress"]
    gate.opened.set()
    report = await (await post).json()
    assert running == {"reload_id": report["reload_id"], "since": report["started_at"]}


async def test_status_counts_the_sessions_of_each_generation(client: Client) -> None:
    """Sessions that were kept are counted under the generation they began with, the newest first."""
    async with client.ws_connect("/v1/realtime?dialect=ga") as old:
        await old.receive()
        await client.post(RELOAD, json={"sessions": "keep"})
        async with client.ws_connect("/v1/realtime?dialect=ga") as new:
            await new.receive()
            generations = (await get(client, "/v1/characters/status"))["generations"]
    assert generations == [{"generation": 2, "sessions": 1}, {"generation": 1, "sessions": 1}]


# GET /metrics


@pytest.mark.of_default_set
async def test_metrics_are_in_the_format_of_prometheus(client: Client) -> None:
    """A scraper finds the counters of the first load."""
    answer = await client.get("/metrics")
    text = await answer.text()
    assert answer.content_type == "text/plain"
    assert 'charhost_reloads_total{outcome="applied",trigger="startup"} 1.0' in text
    assert "charhost_characters_loaded 1.0" in text


async def test_metrics_are_also_in_open_metrics(client: Client) -> None:
    """A scraper that accepts OpenMetrics receives that format."""
    answer = await client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.content_type == "application/openmetrics-text"
    assert (await answer.text()).endswith("# EOF\n")


@pytest.mark.parametrize("version", ["x", "2.x", "9" * 5000, "1.0.0.y"])
async def test_metrics_need_no_known_version(client: Client, version: str) -> None:
    """A version that is none of OpenMetrics gets the usual one."""
    answer = await client.get("/metrics", headers={"Accept": f"application/openmetrics-text; version={version}"})
    assert (answer.status, answer.content_type) == (200, "application/openmetrics-text")
    assert (await answer.text()).endswith("# EOF\n")


async def test_responses_are_strict_json(client: Client, write: Write) -> None:
    """A value that JSON does not have, such as NaN in a character's metadata, is null in the response."""
    write("ada.py", f"{character('Ada')}\nMETADATA = {{'good': True, 'weight': float('nan')}}")
    assert (await client.post(RELOAD, json={})).status == 200
    body = await (await client.get("/v1/characters")).text()

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    assert json.loads(body, parse_constant=refuse)["characters"][0]["metadata"]["weight"] is None


async def test_a_content_type_of_stray_bytes_is_refused_like_any_other(client: Client) -> None:
    """Bytes that are no UTF-8 in a header end in a problem document, and in no fault of the server."""
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    lines = [
        b"POST /v1/characters/reload HTTP/1.1",
        b"Host: localhost",
        b"Content-Type: text/\xff",
        b"Content-Length: 0",
        b"Connection: close",
    ]
    writer.write(b"\r\n".join([*lines, b"", b""]))
    async with asyncio.timeout(60):
        answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 415 ")
    assert b"unsupported_media_type" in answer
