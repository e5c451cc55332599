"""The endpoints that list, add and remove character sets."""

import re
from typing import get_args

from aiohttp import web

from charhost.character.character import CharacterSet
from charhost.errors import InvalidRequest, ReloadCode, SetNotFound
from charhost.reload.request import Drain, Policy, SetRequest
from charhost.reload.set_records import SetDefinition
from charhost.report import DEFAULT_SET, SET_NAME, Frozen, ReloadReport, SessionPolicy
from charhost.sets.named_set import NamedSet
from charhost.text import quoted
from charhost.web.caller_view import key_view
from charhost.web.http.body import json_body, parsed
from charhost.web.http.operation import Operation, Parameter, Response
from charhost.web.http.problems import Problem, json_response
from charhost.web.keys import CONTINUED, SETS, SETTINGS
from charhost.web.reload import reload_errors
from charhost.web.schemas import RemovedSet, SetEntry, SetList

_NAME = Parameter("name", "path", "Its name.", {"type": "string", "pattern": f"^{SET_NAME}$"})
_POLICY = {"type": "string", "enum": list(get_args(SessionPolicy))}
_DRAIN = {"type": "number", "minimum": 0, "maximum": 86_400}
_DEFAULT = "The set is the default one (`default_set`)."


class Removal(Frozen, strict=False):
    """The query of a removal, whose values are text."""

    sessions: Policy = None
    drain_seconds: Drain = None


@Operation(
    "The character sets",
    "Characters",
    description="With a key that is bound to sets only those are listed.",
    needs="chat",
    responses={200: Response.json(SetList, "The sets, each with what serves.")},
)
async def sets(request: web.Request) -> web.StreamResponse:
    return json_response(SetList(sets=tuple(map(_entry, key_view(request)))))


@Operation(
    "Add a character set, or give it another directory",
    "Characters",
    description="If no character can be loaded, nothing is added or changed. Every file in the directory is executed.",
    needs="admin",
    body=SetRequest,
    parameters=(_NAME,),
    responses={
        200: Response.json(ReloadReport, "The set was there, and serves that directory."),
        201: Response.json(ReloadReport, "The set is new."),
    },
    errors=reload_errors(ReloadCode.UNKNOWN_GENERATION, ReloadCode.REVISION_MISMATCH) | {409: _DEFAULT},
)
async def put_set(request: web.Request) -> web.StreamResponse:
    name, body = request.match_info["name"], await json_body(request, SetRequest)
    if not re.fullmatch(SET_NAME, name):
        raise InvalidRequest(f"name: expected {SET_NAME}, found {quoted(name)}")
    _refuse_default(name, "reload it with POST /v1/characters/reload")
    watch = request.app[SETTINGS].watch if body.watch is None else body.watch
    report, is_new = await request.app[SETS].put(SetDefinition(name, body.directory, watch))
    return json_response(report, 201 if is_new else 200)


@Operation(
    "Remove a character set",
    "Characters",
    description="Its sessions are closed, and its history is dropped. Its directory stays as it is.",
    needs="admin",
    parameters=(
        _NAME,
        Parameter("sessions", "query", "What happens to open sessions (default: the server's setting).", _POLICY),
        Parameter("drain_seconds", "query", "How long a session may finish its current response.", _DRAIN),
    ),
    responses={200: Response.json(RemovedSet, "The set is gone.")},
    errors={
        400: "A parameter is wrong (`invalid_request`).",
        404: f"`{ReloadCode.SET_NOT_FOUND}`: {SetNotFound.code.meaning}",
        409: _DEFAULT,
    },
)
async def delete_set(request: web.Request) -> web.StreamResponse:
    name = request.match_info["name"]
    _refuse_default(name, "it cannot be removed")
    removal = parsed(dict(request.query), Removal)
    impact = await request.app[SETS].remove(name, removal.sessions, removal.drain_seconds)
    request.app[CONTINUED].follow(name, impact.policy, CharacterSet(""))
    return json_response(RemovedSet(name=name, sessions=impact))


def _refuse_default(name: str, advice: str) -> None:
    if name == DEFAULT_SET:
        raise Problem(409, "default_set", f"The set {name} is that of --directory: {advice}.")


def _entry(named: NamedSet) -> SetEntry:
    current, default = named.manager.current, named.default_character
    return SetEntry(
        name=named.name,
        directory=current.directory,
        watched=named.watcher is not None,
        generation=current.generation,
        revision=current.revision,
        characters=len(current),
        default_character=default.name if default is not None else None,
    )
