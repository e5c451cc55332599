"""RunningCompletion: one chat completion whose choices are being made."""

from aiohttp import web

from charhost.character.character import normal
from charhost.conversation.continued import Client
from charhost.conversation.turn import Turn
from charhost.conversation.turn_events import TurnEnded
from charhost.report import DEFAULT_SET
from charhost.web.caller_view import view_of
from charhost.web.catalog import known_character
from charhost.web.completions.request import ChatRequest
from charhost.web.keys import AUTHORITY, CONTINUED, CONVERSATIONS, MODEL_OPTIONS, SETTINGS
from charhost.web.server_calls import are_visible
from charhost.web.talk import conversation_id


class RunningCompletion:
    def __init__(self, request: web.Request, asked: ChatRequest) -> None:
        app = request.app
        self.shows_reasoning = app[SETTINGS].reasoning == "forward"
        self.include_usage = asked.include_usage
        self.shows_calls = are_visible(asked.metadata, request[AUTHORITY].admin)
        self.choices = range(asked.n or 1)
        self._left = len(self.choices)
        self._conversations = app[CONVERSATIONS]
        self._options = asked.turn_options(app[MODEL_OPTIONS].of(asked.model_extra))
        found = view_of(request).find(asked.model)
        self.name = found.name if found is not None else normal(asked.model)
        its_set = found.set if found is not None else DEFAULT_SET
        client = Client(request[AUTHORITY].owner, self.name, conversation_id(request, asked.metadata), its_set)
        items = list(asked.items())
        self.claim = app[CONTINUED].claim(
            client, items, lambda: self._conversations.instance(known_character(request, asked.model).character)
        )
        # Looked up once: a reload during the response does not change it.
        self.character = self.claim.instance.character
        self._items = self.claim.restored(items)

    def begin(self) -> Turn:
        """Begin one of the choices."""
        conversation = self._conversations.open(
            self.character, "completions", items=self._items, instance=self.claim.instance
        )
        return conversation.respond(self._options)

    def end(self, ended: TurnEnded) -> None:
        """Keep what a choice made; to be called before the client has all of it, and may send the next request."""
        self.claim.keep(ended)
        self._left -= 1
        if not self._left:
            self.claim.release()
