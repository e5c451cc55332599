"""The health of the server, which monitors and load balancers ask for, most of them before any other request."""

from typing import Literal

from aiohttp import web
from pydantic import BaseModel, Field

from charhost.llm.model import ServerHabits
from charhost.report import absent
from charhost.web.caller_view import key_view
from charhost.web.http.operation import Operation, Response
from charhost.web.http.problems import json_response
from charhost.web.http.response_model import ResponseModel
from charhost.web.keys import AUTHORITY, FLEET, MODELS, SESSIONS, SETS
from charhost.web.voice import engine_health


class Health(BaseModel, frozen=True):
    """Whether conversations are possible; `stt_up`, `tts_up` and `voice_cloning_up` are for unmute's clients."""

    ok: bool
    characters: int
    generation: int
    llm: Literal["offline", "up", "down"]
    stt_up: bool
    tts_up: bool
    llm_up: bool
    voice_cloning_up: bool
    reason: str | None = Field(default=None, exclude_if=absent, description="Why `ok` is false.")
    fleet: Literal["up", "down"] | None = Field(
        default=None, exclude_if=absent, description="Whether the engine of the fleet can be reached; with a fleet."
    )
    habits: list[ServerHabits] | None = Field(
        default=None, exclude_if=absent, description="Parts of requests that models' servers refuse; for admins."
    )
    model: str | None = Field(
        default=None, exclude_if=absent, description="The model that is used, and how to choose another; for admins."
    )


class Ready(ResponseModel):
    """Whether a load balancer may send clients here."""

    ready: bool
    reason: str | None = Field(description="`starting`, `behind`, `leaving`, `cut_off` or `empty`.")


@Operation(
    "Whether there is a character to talk to",
    "Operate",
    responses={200: Response.json(Health, "The server runs; `ok` is false, with a reason, for an empty set.")},
)
async def health(request: web.Request) -> web.StreamResponse:
    characters = [found.manager.current for found in key_view(request)]
    authority, models = request[AUTHORITY], request.app[MODELS]
    # A monitor without a key wants to know about the server, not about the view of every key.
    is_ok = any(characters) if authority.chat else any(named.manager.current for named in request.app[SETS])
    llm, membership = await models.state(), request.app.get(FLEET)
    found = Health(
        ok=is_ok,
        characters=sum(map(len, characters)),
        generation=characters[0].generation if characters else 0,
        llm=llm,
        llm_up=llm == "up",
        **await engine_health(request.app),
        reason=None if is_ok else "no character is loaded",
        fleet=membership.state if membership is not None else None,
        habits=(models.habits() or None) if authority.admin else None,
        model=models.selection.description if authority.admin else None,
    )
    return json_response(found)


@Operation(
    "Whether a load balancer may send clients here",
    "Operate",
    responses={
        200: Response.json(Ready, "It may."),
        503: Response.json(Ready, "It may not: the server is starting or leaving, is empty, or follows no fleet."),
    },
)
async def ready(request: web.Request) -> web.StreamResponse:
    why = _why_not_ready(request.app)
    return json_response(Ready(ready=why is None, reason=why), 200 if why is None else 503)


def _why_not_ready(app: web.Application) -> str | None:
    if app[SESSIONS].closing:
        return "leaving"
    membership = app.get(FLEET)
    if membership is not None and (why := membership.why_not_ready) is not None:
        return why
    return None if any(named.manager.current for named in app[SETS]) else "empty"
