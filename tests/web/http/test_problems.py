"""Refusals as responses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from charhost.errors import FleetUnreachable, InvalidRequest, ReloadRefused, SetNotFound, Stopping
from charhost.web.http.problems import Problem, json_response


def fields_of(problem: Problem, path: str) -> dict[str, Any]:
    body = problem.response(path).body
    assert isinstance(body, bytes)
    fields: dict[str, Any] = json.loads(body)
    return fields


@pytest.mark.parametrize(
    ("refusal", "status", "headers"),
    [
        (InvalidRequest("No."), 400, None),
        (SetNotFound("games"), 404, None),
        (Stopping("Bye."), 503, {"Retry-After": "5"}),
        (FleetUnreachable(OSError()), 503, {"Retry-After": "5"}),
    ],
)
def test_refused_reload_has_the_status_of_its_code(refusal: ReloadRefused, status: int, headers: Any) -> None:
    """What ends by itself names the seconds to wait."""
    problem = Problem.of(refusal)
    assert (problem.status, problem.code, problem.headers) == (status, refusal.code, headers)


def test_problem_document_has_its_fields() -> None:
    """Most paths have a problem document (RFC 9457), to which a problem may add fields."""
    problem = Problem(409, "no_model", "None.", {"hint": "x"})
    response = problem.response("/v1/model")
    assert (response.status, response.content_type) == (409, "application/problem+json")
    assert fields_of(problem, "/v1/model") == {
        "type": "about:blank",
        "title": "Conflict",
        "status": 409,
        "detail": "None.",
        "code": "no_model",
        "hint": "x",
    }


@pytest.mark.parametrize(
    ("status", "code", "kind", "shown"),
    [
        (400, "invalid_value", "invalid_request_error", "invalid_value"),
        (404, "not_found", "invalid_request_error", None),
        (429, "busy", "rate_limit_error", "busy"),
        (500, "internal_error", "server_error", "internal_error"),
    ],
)
def test_error_has_the_shape_of_openai(status: int, code: str, kind: str, shown: str | None) -> None:
    """The paths of OpenAI's clients have errors that those read; an unknown path has no code."""
    problem = Problem(status, code, "No.", param="model")
    assert fields_of(problem, "/v1/chat/completions") == {
        "error": {"message": "No.", "type": kind, "param": "model", "code": shown}
    }


@pytest.mark.parametrize(("status", "advice"), [(500, "false"), (503, None)])
def test_fault_is_not_asked_again(status: int, advice: str | None) -> None:
    """OpenAI's clients repeat a request after any other status of 5xx."""
    response = Problem(status, "x", "No.").response("/v1/responses")
    assert response.headers.get("x-should-retry") == advice


def test_detail_can_be_encoded() -> None:
    """Half a surrogate pair, as a path may have, is no obstacle."""
    assert Problem(400, "x", "\udce9").detail.encode()


def test_numbers_that_json_lacks_are_null() -> None:
    """A response never has NaN or infinity."""
    assert json_response({"a": float("nan"), "b": float("inf")}).body == b'{"a":null,"b":null}'
