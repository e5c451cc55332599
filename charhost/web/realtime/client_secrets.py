"""POST /v1/realtime/client_secrets: a key with which a browser opens one session."""

import time
from typing import Any, Literal

from aiohttp import web
from pydantic import BaseModel, Field

from charhost.errors import EngineError
from charhost.ids import new_id
from charhost.jsontext import Json
from charhost.memory.weight import weigh
from charhost.sets.view import FoundCharacter
from charhost.web.caller_view import view_of
from charhost.web.catalog import known_character
from charhost.web.http.body import no_room
from charhost.web.http.client_model import ClientModel
from charhost.web.http.operation import Operation, Response
from charhost.web.http.problems import Problem, json_response, unreachable
from charhost.web.keys import AUTHORITY, ENGINES, GATE
from charhost.web.openai.request import TALK_ERRORS, talk_request
from charhost.web.protocol.frames import InvalidEvent
from charhost.web.protocol.session_config import SessionConfig, settings_of
from charhost.web.protocol.session_params import SessionParams, read
from charhost.web.security.authority import secret_owner
from charhost.web.security.client_secrets import MOST_SECONDS, PREFIX, ClientSecret

_MOST_BODY = 256 << 10


class ExpiresAfter(ClientModel):
    """The time in which the secret has to be used."""

    anchor: Literal["created_at"] = "created_at"
    seconds: int = Field(MOST_SECONDS, ge=10, le=7200, description=f"At most {MOST_SECONDS} count.")


class ClientSecretRequest(ClientModel):
    """The session that a secret is for."""

    expires_after: ExpiresAfter | None = None
    session: dict[str, Any] | None = Field(None, description="As in `session.update`; `model` names the character.")


class CreatedSecret(BaseModel, frozen=True):
    """The secret, which is shown this once."""

    value: str = Field(description=f"Begins with `{PREFIX}`.")
    expires_at: int = Field(description="A Unix time.")
    session: Json = Field(description="The session that it opens.")


@Operation(
    "A key for a browser, which opens one session",
    "Talk",
    description=(
        "A program that has a key makes one for a page, in the shape of OpenAI's client secrets. It opens one session "
        "over `/v1/realtime` with one character, within ten minutes, and resumes it as long as that is possible."
    ),
    needs="chat",
    body=ClientSecretRequest,
    responses={200: Response.json(CreatedSecret, "The key and its session.")},
    errors={status: meaning for status, meaning in TALK_ERRORS.items() if status <= 429},
)
async def create_client_secret(request: web.Request) -> web.StreamResponse:
    body = await talk_request(request, ClientSecretRequest, _MOST_BODY)
    params = _params(body.session or {})
    character = _character(request, params.model)
    new = settings_of("ga", engines=request.app[ENGINES])
    assert isinstance(new, SessionConfig)
    config = new.merged(params)
    seconds = min(MOST_SECONDS, body.expires_after.seconds if body.expires_after else MOST_SECONDS)
    value = new_id(PREFIX.rstrip("_"))
    owner, stored = secret_owner(request[AUTHORITY].owner, value), config.stored()
    secret = ClientSecret(owner, character.name, seconds, stored, weigh(stored), request[AUTHORITY].sets)
    if not request.app[GATE].secrets.add(secret):
        raise no_room()
    try:
        await request.app[GATE].secrets.publish(secret)
    except EngineError as e:
        raise unreachable() from e
    session = config.ga(secret.session_id, character.name)
    return json_response(CreatedSecret(value=value, expires_at=int(time.time()) + seconds, session=session))


def _params(session: Json) -> SessionParams:
    try:
        return read(SessionParams, session, "session")
    except InvalidEvent as e:
        raise Problem(400, e.code, str(e), param=e.param) from None


def _character(request: web.Request, name: str | None) -> FoundCharacter:
    if name is not None:
        return known_character(request, name)
    default = view_of(request).default()
    if default is None:
        raise Problem(404, "model_not_found", "There is no character to talk to.", param="session.model")
    return default
