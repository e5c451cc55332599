"""RunningCompletion: one chat completion whose choices are being made."""

from aiohttp import web

from charhost.character.character import normal
from charhost.conversation.continued import Client
from charhost.conversation.dialogue import Dialogue
from charhost.conversation.history import History
from charhost.conversation.turn import Turn
from charhost.conversation.turn_events import TurnEnded
from charhost.conversation.turn_input import TurnInput, TurnOptions
from charhost.report import DEFAULT_SET
from charhost.web.caller_view import view_of
from charhost.web.catalog import known_task
from charhost.web.completions.request import ChatRequest
from charhost.web.keys import AUTHORITY, CONTINUED, CONVERSATIONS, SETTINGS
from charhost.web.openai.request import conversation_id
from charhost.web.openai.server_calls import are_visible


class RunningCompletion:
    def __init__(self, request: web.Request, body: ChatRequest, options: TurnOptions, dialogue: Dialogue) -> None:
        app = request.app
        self.shows_reasoning = app[SETTINGS].reasoning == "forward"
        self.include_usage = body.include_usage
        self.shows_calls = are_visible(body.metadata, request[AUTHORITY].admin)
        self.choices = range(body.n or 1)
        self._left = len(self.choices)
        self._conversations = app[CONVERSATIONS]
        self._options = options
        found = view_of(request).find(body.model)
        self.name = found.name if found is not None else normal(body.model)
        its_set = found.set if found is not None else DEFAULT_SET
        client = Client(request[AUTHORITY].owner, self.name, conversation_id(request, body.metadata), its_set)
        self.claim = app[CONTINUED].claim(
            client, dialogue, lambda: self._conversations.instance((found or known_task(request, body.model)).character)
        )
        # Looked up once: a reload during the response does not change it.
        self.character = self.claim.instance.character
        self._items = dialogue.items
        self._history = History()
        self._input: TurnInput | None = None

    def restore(self) -> None:
        """Make the conversation, before the first choice."""
        self._history = History(self.claim.restored(self._items))

    def begin(self) -> Turn:
        """Begin one of the choices."""
        conversation = self._conversations.open(
            self.character, "completions", history=self._history.copy(), instance=self.claim.instance
        )
        turn = conversation.respond(self._options, self._input)
        self._input = turn.input
        return turn

    def end(self, ended: TurnEnded) -> None:
        """Keep the items of a choice; to be called before the client has all of it, and may send the next request."""
        self.claim.keep(ended)
        self._left -= 1
        if not self._left:
            self.claim.release()
