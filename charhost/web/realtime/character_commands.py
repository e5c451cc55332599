"""The `session.characters.*` events, which are the same in every dialect."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from charhost.errors import ReloadCode, ReloadRefused
from charhost.jsontext import Json, encoded
from charhost.reload.manager import CharacterManager
from charhost.reload.request import ReloadRequest
from charhost.report import DEFAULT_SET
from charhost.text import display
from charhost.web.caller_view import key_view, reloadable
from charhost.web.http.body import parsed
from charhost.web.http.middleware import insist
from charhost.web.http.problems import Problem
from charhost.web.protocol.client_events import event_id_of
from charhost.web.protocol.frames import INVALID, MOST_EVENT, EventRefused, frame
from charhost.web.sessions.session import Session

Refuse = Callable[[EventRefused, str | None], None]

MOST_RELOADS = 8
MOST_RELOAD_BYTES = 64 << 10  # of an event; the limit of a request over HTTP


@dataclass(frozen=True, slots=True)
class CharacterCommands:
    """Handles the `session.characters.*` events of one client, with the authority of its upgrade, `request`."""

    session: Session
    tasks: asyncio.TaskGroup
    request: web.Request

    def obey(self, event: Json, text: str, refuse: Refuse) -> None:
        """Handle an event that arrived as *text*; raises `EventRefused`, or passes it to *refuse* later."""
        try:
            if event["type"] == "session.characters.list":
                self._list(event)
            else:
                self._begin(event, text, refuse)
        except Problem as e:
            raise EventRefused(e.code, e.detail) from e
        except ReloadRefused as e:
            raise _refused(e) from e

    def _list(self, event: Json) -> None:
        asked = event.get("set", self.request.query.get("set"))
        named = key_view(self.request).named(None if asked is None else str(asked))
        current = named.manager.current
        directory, listing = display(current.directory), current.listing
        fields = {"directory": directory, "character_count": len(current), "characters": listing}
        which = {} if named.name == DEFAULT_SET else {"set": named.name}
        self.session.send(frame("session.characters.listed", **which, **fields))

    def _begin(self, event: Json, text: str, refuse: Refuse) -> None:
        insist(self.request, "admin")  # first: a client without authority learns nothing, not even of a mistake
        if self.session.work.commands >= MOST_RELOADS:
            detail = f"At most {MOST_RELOADS} reloads at a time: wait for their responses."
            raise EventRefused("rate_limit_exceeded", detail)
        if len(text.encode()) > MOST_RELOAD_BYTES:
            detail = f"The event is larger than {MOST_RELOAD_BYTES:,} bytes."
            raise EventRefused(ReloadCode.REQUEST_TOO_LARGE, detail)
        fields = {name: value for name, value in event.items() if name not in ("type", "event_id")}
        request = parsed(fields, ReloadRequest)
        manager = reloadable(self.request, request.set).manager
        self.session.work.run(self._reload(manager, request, event_id_of(event), refuse), self.tasks)

    async def _reload(
        self, manager: CharacterManager, request: ReloadRequest, event_id: str | None, refuse: Refuse
    ) -> None:
        try:
            report = await manager.reload_characters(request, trigger="websocket")
            fields = _fitting(report.model_dump() | {"characters": manager.current.listing})
            self.session.send(frame("session.characters.reloaded", **fields))
        except ReloadRefused as e:
            refuse(_refused(e), event_id)
        except Exception:
            self.session.fail()


def _refused(refusal: ReloadRefused) -> EventRefused:
    kind = "server_error" if refusal.code.is_server_fault else INVALID
    report = _fitting(refusal.report.model_dump()) if refusal.report is not None else None
    return EventRefused(refusal.code, refusal.detail, kind=kind, report=report)


def _fitting(report: Json) -> Json:
    """Return *report*, without tracebacks if it is too long for many clients; the log has them."""
    if len(encoded(report)) <= MOST_EVENT:
        return report
    errors = [{name: value for name, value in error.items() if name != "traceback"} for error in report["errors"]]
    return report | {"errors": errors}
