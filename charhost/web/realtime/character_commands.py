"""The `session.characters.*` events, which are the same in every dialect."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web
from pydantic_core import to_json

from charhost.errors import ReloadCode, ReloadRefused
from charhost.jsontext import Json, encoded
from charhost.report import ReloadRequest
from charhost.text import display
from charhost.web.body import parsed
from charhost.web.keys import MANAGER
from charhost.web.middleware import insist
from charhost.web.problems import Problem
from charhost.web.protocol.client_events import event_id_of
from charhost.web.protocol.server_events import MOST_EVENT, Refused, frame
from charhost.web.sessions.session import Session

Refuse = Callable[[Refused, str | None], None]

MOST_RELOADS = 8
# The limit of a request over HTTP.
MOST_WISH = 64 << 10


class CharacterCommands:
    """Handles the `session.characters.*` events of one client.

    Its authority to reload is that of its upgrade, *request*.
    """

    def __init__(self, session: Session, tasks: asyncio.TaskGroup, request: web.Request) -> None:
        self._session = session
        self._tasks = tasks
        self._request = request
        self._manager = request.app[MANAGER]

    def obey(self, event: Json, refuse: Refuse) -> None:
        """Handle an event of `CHARACTER_KINDS`; raises `Refused`, or calls *refuse* with it later."""
        if event["type"] == "session.characters.list":
            self._list()
            return
        try:
            self._begin(event, refuse)
        except Problem as e:
            raise Refused(e.code, e.detail) from e
        except ReloadRefused as e:
            raise _refused(e) from e

    def _list(self) -> None:
        current = self._manager.current
        directory, listing = display(current.directory), current.listing
        fields = {"directory": directory, "character_count": len(current), "characters": listing}
        self._session.send(frame("session.characters.listed", **fields))

    def _begin(self, event: Json, refuse: Refuse) -> None:
        insist(self._request, "admin")  # first: a client without authority learns nothing, not even of a mistake
        if self._session.work.commands >= MOST_RELOADS:
            raise Refused("rate_limit_exceeded", f"At most {MOST_RELOADS} reloads at a time: wait for their answers.")
        wishes = {name: value for name, value in event.items() if name not in ("type", "event_id")}
        fields = to_json(wishes, inf_nan_mode="constants")  # an infinite number must be refused, not read as null
        if len(fields) > MOST_WISH:
            raise Refused(ReloadCode.REQUEST_TOO_LARGE, f"The fields are larger than {MOST_WISH:,} bytes.")
        request = parsed(fields, ReloadRequest)
        self._session.work.run(self._reload(request, event_id_of(event), refuse), self._tasks)

    async def _reload(self, request: ReloadRequest, event_id: str | None, refuse: Refuse) -> None:
        try:
            report = await self._manager.reload_characters(request, trigger="websocket")
            fields = _fitting(report.model_dump() | {"characters": self._manager.current.listing})
            self._session.send(frame("session.characters.reloaded", **fields))
        except ReloadRefused as e:
            refuse(_refused(e), event_id)
        except Exception:
            self._session.fail()


def _refused(refusal: ReloadRefused) -> Refused:
    kind = "server_error" if refusal.code.is_server_fault else "invalid_request_error"
    report = _fitting(refusal.report.model_dump()) if refusal.report is not None else None
    return Refused(refusal.code, refusal.detail, kind, report)


def _fitting(report: Json) -> Json:
    """Return *report*, without tracebacks if it is too long for many clients; the log has them."""
    if len(encoded(report)) <= MOST_EVENT:
        return report
    errors = [{name: value for name, value in error.items() if name != "traceback"} for error in report["errors"]]
    return report | {"errors": errors}
