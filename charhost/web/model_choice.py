"""GET and PUT /v1/model: the language model that characters speak with."""

from aiohttp import web
from pydantic import Field

from charhost.llm.model import ModelError, ModelInUse
from charhost.report import Frozen
from charhost.text import quoted
from charhost.web.http.body import json_body
from charhost.web.http.operation import Operation, Response
from charhost.web.http.problems import Problem, json_response
from charhost.web.keys import MODELS


class ModelRequest(Frozen):
    """The model to use."""

    model: str = Field(description="One of `models`.")


_USED = Response.json(ModelInUse, "The server, the model in use, and those to choose from.")
_NONE = "No model's server is connected (`no_model`)."


@Operation(
    "The language model in use",
    "Operate",
    description="`found` is true for a server that was found on this machine, without `--llm-url`.",
    needs="admin",
    responses={200: _USED},
    errors={409: _NONE},
)
async def model_in_use(request: web.Request) -> web.StreamResponse:
    return json_response(await _in_use(request))


@Operation(
    "Choose the language model until the restart",
    "Operate",
    description="It answers from the next response on; a character that names a model of its own keeps that.",
    needs="admin",
    body=ModelRequest,
    responses={200: _USED},
    errors={
        400: "The body is no JSON object with `model` (`invalid_request`).",
        404: "The server has no such model (`model_not_found`).",
        409: _NONE,
        502: "The model's server does not list its models (`model_unavailable`).",
    },
)
async def choose_model(request: web.Request) -> web.StreamResponse:
    body = await json_body(request, ModelRequest)
    known = (await _in_use(request)).models
    try:
        await request.app[MODELS].selection.choose(body.model)
    except KeyError:
        listed = ", ".join(known) or "none"
        raise Problem(404, "model_not_found", f"There is no model {quoted(body.model)}; there is: {listed}.") from None
    except ModelError as e:
        raise Problem(502, "model_unavailable", str(e)) from None
    return json_response(await _in_use(request))


async def _in_use(request: web.Request) -> ModelInUse:
    found = await request.app[MODELS].selection.in_use()
    if found is None:
        raise Problem(409, "no_model", "No model's server is connected: the offline stand-in answers.")
    return found
