"""The grammar of the events to a realtime client, GA and beta."""

from __future__ import annotations

import base64
import json
from collections.abc import Generator, Iterable
from typing import Any, Literal, get_args

from agents.realtime.model import RealtimeModelListener
from agents.realtime.model_events import RealtimeModelErrorEvent, RealtimeModelEvent, RealtimeModelExceptionEvent
from agents.realtime.openai_realtime import OpenAIRealtimeWebSocketModel
from openai.types.beta.realtime import RealtimeServerEvent as BetaEvent
from openai.types.realtime import RealtimeServerEvent as GaEvent
from pydantic import BaseModel, ConfigDict, ValidationError

from charhost.report import DEFAULT_SET, ReloadReport

Event = dict[str, Any]
Dialect = Literal["ga", "beta"]

_BETA = {
    "response.text.delta": "response.output_text.delta",
    "response.text.done": "response.output_text.done",
    "response.audio.delta": "response.output_audio.delta",
    "response.audio.done": "response.output_audio.done",
    "response.audio_transcript.delta": "response.output_audio_transcript.delta",
    "response.audio_transcript.done": "response.output_audio_transcript.done",
    "conversation.item.created": "conversation.item.added",
}
_CONTENT = {"ga": "output_text", "beta": "text"}
# Where OpenAI sends null too; everywhere else strict clients refuse it.
_NULLABLE = {"previous_item_id", "status_details", "usage", "metadata", "param", "code", "event_id", "transcript"}
# What charhost adds: when to come back, what the beta models do not have yet, the whole reason of a failure, and to a
# response the calls of the server and what of the conversation the model was not sent.
_EXTRA = {"retry_after_ms", "name", "message", "image_tokens", "cached_tokens_details", "report"}
_EXTRA |= {"charhost_tools", "messages_left_out", "messages_shortened"}


class Listed(BaseModel):
    """One character in a list."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str
    good: bool | None
    comment: str | None


class CharactersListed(BaseModel):
    """charhost's own response to `session.characters.list`, in every dialect."""

    model_config = ConfigDict(extra="forbid", strict=True)

    event_id: str
    type: Literal["session.characters.listed"]
    set: str = DEFAULT_SET
    directory: str
    character_count: int
    characters: list[Listed]


class CharactersReloaded(ReloadReport):
    """charhost's own response to `session.characters.reload`, in every dialect."""

    event_id: str
    type: Literal["session.characters.reloaded"]
    characters: tuple[Listed, ...]


_OWN: dict[str, type[BaseModel]] = {
    "session.characters.listed": CharactersListed,
    "session.characters.reloaded": CharactersReloaded,
}


def _models(union: Any) -> dict[str, type[BaseModel]]:
    models = get_args(get_args(union)[0])
    return {get_args(model.model_fields["type"].annotation)[0]: model for model in models}


_MODELS: dict[str, dict[str, type[BaseModel]]] = {"ga": _models(GaEvent), "beta": _models(BetaEvent)}
# An SDK that speaks GA still knows this name; a GA server must not send it.
del _MODELS["ga"]["conversation.item.created"]


def check(events: Iterable[Event], dialect: Dialect = "ga") -> None:
    """Check all events that one client received; items in progress at the end are valid."""
    grammar = Grammar(dialect)
    for event in events:
        grammar.feed(event)


class Grammar:
    """Follows one connection event by event; raises `AssertionError` at the first one that is out of order."""

    def __init__(self, dialect: Dialect = "ga") -> None:
        self.dialect = dialect
        self.running: dict[str, Generator[None, Event, None]] = {}
        self._ids: set[str] = set()
        self._order: list[str] = []  # the conversation as the client knows it
        self._owner: dict[str, str] = {}  # which response an item is of
        self._responses: set[str] = set()
        self._unfinished: Event | None = None
        self._begun = False
        self._speaking: str | None = None  # the item that the user's speech will be
        self._committed: str | None = None  # the item that has to be added next
        self._heard: set[str] = set()  # spoken items whose transcript is due

    def resume(self, earlier: Grammar) -> None:
        """Go on with the conversation of a connection before this one."""
        self._order, self._owner = [*earlier._order], dict(earlier._owner)

    def feed(self, event: Event) -> None:
        """Check the next event."""
        check_shape(event, self.dialect)
        assert event["event_id"] not in self._ids, event
        self._ids.add(event["event_id"])
        if self.dialect == "beta":
            event = event | {"type": _BETA.get(event["type"], event["type"])}
        assert self._begun == (event["type"] != "session.created") or event["type"] == "error", event
        self._begun = True
        self._follow(event)

    def _follow(self, event: Event) -> None:
        """Hand an event to the response that it is of, or see to it here."""
        kind = event["type"]
        if self._unfinished is not None:  # a client's own item: done follows added
            assert event["item"] == self._unfinished["item"], event
            assert kind == "conversation.item.done", event
        if self._committed is not None:
            assert (kind, event["item"]["id"]) == ("conversation.item.added", self._committed), event
            self._committed = None
        if kind.startswith("input_audio_buffer."):
            self._buffer(event)
        elif kind.startswith("conversation.item.input_audio_transcription."):
            self._transcript(event)
        elif kind == "conversation.item.truncated":
            assert event["item_id"] in self._owner, event
        elif kind == "response.created":
            self._begin(event["response"])
        elif kind == "response.done":
            self._send(event["response"]["id"], event)
            assert event["response"]["id"] not in self.running, event
        elif "response_id" in event:
            if kind == "response.output_item.added":
                self._owner[event["item"]["id"]] = event["response_id"]
            self._send(event["response_id"], event)
        elif kind in ("conversation.item.added", "conversation.item.done"):
            self._item(event, kind.endswith("added"))
        elif kind == "conversation.item.deleted":
            self._order.remove(event["item_id"])

    def _buffer(self, event: Event) -> None:
        """Follow the turns of the user: each begins, ends and is committed, before the next one begins."""
        match event["type"].partition(".")[2]:
            case "speech_started":
                assert self._speaking is None, event
                self._speaking = event["item_id"]
            case "speech_stopped":
                assert event["item_id"] == self._speaking, event
            case "committed":
                assert self._speaking in (None, event["item_id"]), event
                assert event["previous_item_id"] == (self._order[-1] if self._order else None), event
                self._speaking, self._committed = None, event["item_id"]
                self._heard.add(event["item_id"])
            case "cleared":
                self._speaking = None

    def _transcript(self, event: Event) -> None:
        """A spoken item has one transcript, or one failure, after it was added."""
        if event["type"].endswith("delta"):
            assert event["item_id"] in (self._speaking, *self._heard), event
        else:
            self._heard.remove(event["item_id"])

    def _item(self, event: Event, added: bool) -> None:
        item_id, previous = event["item"]["id"], event["previous_item_id"]
        if added:
            assert item_id not in self._order, event
            assert previous is None or previous in self._order, event
            self._order.insert(0 if previous is None else self._order.index(previous) + 1, item_id)
        elif item_id in self._order:  # a client may have deleted it meanwhile
            before = self._order.index(item_id)
            assert previous == (self._order[before - 1] if before else None), event
        if any(part.get("transcript", "") is None for part in event["item"].get("content", ())):
            self._heard.add(item_id)
        if item_id in self._owner:
            self._send(self._owner[item_id], event)
            return
        assert event["item"]["status"] == "completed", event
        self._unfinished = event if added and self.dialect == "ga" else None

    def _begin(self, response: Event) -> None:
        assert response["id"] not in self._responses, response
        assert (response["status"], response["output"], response["status_details"]) == ("in_progress", [], None)
        self._responses.add(response["id"])
        course = self.running[response["id"]] = self._response(response)
        next(course)

    def _send(self, response_id: str, event: Event) -> None:
        assert response_id in self.running, f"not while the response is under way: {event}"
        try:
            self.running[response_id].send(event)
        except StopIteration:
            del self.running[response_id]

    def _response(self, created: Event) -> Generator[None, Event, None]:
        """The course of one response: its items one after the other, then its end."""
        recorded = created["conversation_id"] is not None
        items: list[Event] = []
        while (event := (yield))["type"] != "response.done":
            _expect(event, "response.output_item.added", output_index=len(items))
            begun = event["item"]
            assert begun["status"] == "in_progress", event
            if recorded:
                _expect((yield), "conversation.item.added", item=begun)
            modalities = created.get("output_modalities") or created["modalities"]
            message = self._spoken if "audio" in modalities else self._message
            course = message if begun["type"] == "message" else self._call
            fields = yield from course(begun, {"item_id": begun["id"], "output_index": len(items)})
            if recorded and self.dialect == "ga":
                _expect(done := (yield), "conversation.item.done")
            _expect(event := (yield), "response.output_item.done", output_index=len(items))
            assert not (recorded and self.dialect == "ga") or done["item"] == event["item"], event
            status = event["item"]["status"]
            assert status in ("completed", "incomplete"), event
            assert event["item"] == begun | fields | {"status": status}, event
            items.append(event["item"])
        _check_end(event["response"], created, items)

    def _message(self, begun: Event, where: Event) -> Generator[None, Event, Event]:
        assert (begun["role"], begun["content"]) == ("assistant", []), begun
        where["content_index"] = 0
        _expect((yield), "response.content_part.added", part={"type": "text", "text": ""}, **where)
        text = ""
        while (event := (yield))["type"] == "response.output_text.delta":
            _expect(event, "response.output_text.delta", **where)
            assert event["delta"], event
            text += event["delta"]
        assert text, event
        _expect(event, "response.output_text.done", text=text, **where)
        _expect((yield), "response.content_part.done", part={"type": "text", "text": text}, **where)
        return {"content": [{"type": _CONTENT[self.dialect], "text": text}]}

    def _spoken(self, begun: Event, where: Event) -> Generator[None, Event, Event]:
        """The course of a message that is spoken: each text comes before its sound, and no sound after the end."""
        assert (begun["role"], begun["content"]) == ("assistant", []), begun
        where["content_index"] = 0
        _expect((yield), "response.content_part.added", part={"type": "audio", "transcript": ""}, **where)
        text = ""
        while (event := (yield))["type"] != "response.output_audio.done":
            if event["type"] == "response.output_audio.delta":
                sound = base64.b64decode(event["delta"], validate=True)
                assert 0 < len(sound) <= 4_800, event
                assert text, event
            else:
                _expect(event, "response.output_audio_transcript.delta", **where)
                assert event["delta"], event
                text += event["delta"]
            _expect(event, event["type"], **where)
        said = yield
        _expect(said, "response.output_audio_transcript.done", **where)
        # Of sound that was dropped before it was sent the text may be known already.
        assert text.startswith(said["transcript"]), said
        part = {"type": "audio", "transcript": said["transcript"]}
        _expect((yield), "response.content_part.done", part=part, **where)
        kind = "output_audio" if self.dialect == "ga" else "audio"
        return {"content": [{"type": kind, "transcript": said["transcript"]}]}

    def _call(self, begun: Event, where: Event) -> Generator[None, Event, Event]:
        assert begun["type"] == "function_call"
        assert begun["arguments"] == "", begun
        where["call_id"] = begun["call_id"]
        arguments = ""
        while (event := (yield))["type"] == "response.function_call_arguments.delta":
            _expect(event, "response.function_call_arguments.delta", **where)
            arguments += event["delta"]
        assert arguments, event
        _expect(event, "response.function_call_arguments.done", arguments=arguments, name=begun["name"], **where)
        return {"arguments": arguments}


def check_shape(event: Event, dialect: Dialect) -> None:
    """Check one event by itself: the SDK's model takes it strictly, knows its keys, and nothing is null."""
    assert event["event_id"], event
    if event["type"] in _OWN:
        _OWN[event["type"]].model_validate_json(json.dumps(event), strict=True)
        return
    known = event
    if dialect == "beta" and "session" in event:  # its model knows no names but those of OpenAI's models
        known = event | {"session": event["session"] | {"model": "gpt-realtime"}}
    unknown = _unknown(_MODELS[dialect][event["type"]].model_validate(known, strict=True))
    assert unknown <= _EXTRA, f"{unknown - _EXTRA}: {event}"
    nulls = [path for path in _nulls(event, ()) if path[-1] not in _NULLABLE and path[0] != "session"]
    allowed = [path for path in nulls if path == ("response", "conversation_id") or path[:2] == ("error", "report")]
    assert nulls == allowed, event


async def refused_by_agents(events: Iterable[Event]) -> list[RealtimeModelEvent]:
    """Return the events that openai-agents (Python) cannot read."""
    complaints: list[RealtimeModelEvent] = []

    class Listener(RealtimeModelListener):
        async def on_event(self, event: RealtimeModelEvent) -> None:
            unreadable = isinstance(event, RealtimeModelErrorEvent) and isinstance(event.error, ValidationError)
            if unreadable or isinstance(event, RealtimeModelExceptionEvent):
                complaints.append(event)

    class Nowhere:
        """Takes what the client sends in response to an event."""

        async def send(self, text: str) -> None:
            pass

    model = OpenAIRealtimeWebSocketModel()
    model._websocket = Nowhere()  # type: ignore[assignment]
    model._tracing_config = None
    model.add_listener(Listener())
    for event in events:
        if event["type"] not in _OWN:  # only who asks for these is sent them
            await model._handle_ws_event(event)
    return complaints


def _expect(event: Event, kind: str, **fields: Any) -> None:
    assert event["type"] == kind, f"expected {kind}: {event}"
    assert {key: event[key] for key in fields} == fields, event


def _check_end(response: Event, created: Event, items: list[Event]) -> None:
    """Check `response.done` against the beginning and the items of its response."""
    status, details = response["status"], response["status_details"]
    unchanged = created.keys() - {"status", "status_details", "output", "usage"}
    assert {key: response[key] for key in unchanged} == {key: created[key] for key in unchanged}, response
    assert response["output"] == items, response
    ends = [item["status"] for item in items]
    assert all(end == "completed" for end in ends[:-1]), response
    assert status != "completed" or "incomplete" not in ends, response
    assert status in ("completed", "cancelled", "incomplete", "failed"), response
    assert (details is None) if status == "completed" else (details["type"] == status), response
    reasons = {
        "cancelled": ("client_cancelled", "turn_detected"),
        "incomplete": ("max_output_tokens", "content_filter"),
    }
    assert status not in reasons or details["reason"] in reasons[status], response
    assert (status == "failed") == (details is not None and bool(details.get("error"))), response
    usage = response["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"], response


def _unknown(value: Any) -> set[str]:
    """Return the keys that the SDK's models do not know, except in sessions, whose events have more than their
    requests."""
    if isinstance(value, (list, tuple)):
        return set().union(*map(_unknown, value))
    if not isinstance(value, BaseModel):
        return set()
    fields = [getattr(value, name) for name in type(value).model_fields if name != "session"]
    return set(value.model_extra or ()).union(*map(_unknown, fields))


def _nulls(value: Any, path: tuple[str, ...]) -> Iterable[tuple[str, ...]]:
    if value is None:
        yield path
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _nulls(inner, (*path, key))
    elif isinstance(value, list):
        for inner in value:
            yield from _nulls(inner, path)
