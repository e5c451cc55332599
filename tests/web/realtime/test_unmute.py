"""The Unmute dialect, with clients that connect as Unmute's do and accept only the events of its closed table."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from charhost.character.character import Character
from charhost.llm.model import CallDelta, Delta, Model, ModelError, ModelRequest
from charhost.settings import Settings
from charhost.web.keys import CONVERSATIONS, SESSIONS
from charhost.web.protocol.unmute_session import UnmuteSettings
from charhost.web.realtime import audio_buffer, unmute
from charhost.web.realtime.audio_buffer import audio_bytes
from charhost.web.realtime.word_splitter import WordSplitter
from tests.conftest import Client, character
from tests.reload.helpers import Write
from tests.web.realtime.unmute_events import OGG_PAGE, TABLE, Error, HistoryMessage, Ready, TextDelta, TextDone


class Script:
    """A model that sends its texts, raises exceptions, and waits for events."""

    endpoint = "scripted"

    def __init__(self, *lines: str | Delta | Exception | asyncio.Event) -> None:
        self.lines = lines
        self.asked: list[ModelRequest] = []
        self.voices: list[str] = []

    def of(self, character: Character) -> Model:
        self.voices.append(character.name)
        return self

    async def state(self) -> Literal["up"]:
        return "up"

    async def close(self) -> None:
        pass

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Sequence[Delta], None]:
        self.asked.append(request)
        for line in self.lines:
            if isinstance(line, Exception):
                raise line
            if isinstance(line, asyncio.Event):
                await line.wait()
            else:
                yield [line if isinstance(line, Delta) else Delta(line)]
        yield [Delta(finish="stop")]

    async def context_length(self) -> None:
        return None


class Talk:
    """One connection; each event it receives must be in the table."""

    def __init__(self, ws: ClientConnection) -> None:
        self.ws = ws

    async def send(self, kind: str, **fields: object) -> None:
        """Send an event."""
        await self.ws.send(json.dumps({"type": kind, **fields}))

    async def update(self, **session: object) -> Any:
        """Send a session.update with these fields and those that Unmute's clients always send, and return the
        response."""
        asked = {"instructions": None, "voice": None, "allow_recording": False} | session
        await self.send("session.update", session=asked)
        return await self.event()

    async def sound(self, audio: object = OGG_PAGE) -> None:
        """Send one frame of the microphone."""
        await self.send("input_audio_buffer.append", audio=audio)

    async def event(self) -> Any:
        """The next event."""
        async with asyncio.timeout(60):
            frame = await self.ws.recv()
        assert isinstance(frame, str)
        return TABLE.validate_json(frame)

    async def until(self, *kinds: str) -> list[Any]:
        """The events up to the first of one of these kinds."""
        received = [await self.event()]
        while received[-1].type not in kinds:
            received.append(await self.event())
        return received

    async def greeting(self) -> list[Any]:
        """Send audio, and return the events of the first response."""
        await self.sound()
        return await self.until("unmute.additional_outputs", "error")

    async def rest(self) -> tuple[list[Any], int, str]:
        """All that comes until the end, the close code and the reason."""
        received = []
        with suppress(websockets.ConnectionClosed):
            while True:
                received.append(await self.event())
        assert self.ws.close_code is not None
        return received, self.ws.close_code, self.ws.close_reason or ""


Connect = Callable[..., AbstractAsyncContextManager[Talk]]


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start the greeting only by audio, unless a test sets another wait."""
    monkeypatch.setattr(unmute, "GREETING_DELAY", 60)


@pytest.fixture
def settings(directory: Path) -> Settings:
    """Settings with long deadlines, so that only an orderly end is quick."""
    return Settings(directory=directory, close_grace=60)


@pytest.fixture
def connect(client: Client) -> Connect:
    """Connect as Unmute's clients do: without model and key, with the subprotocol `realtime` and their limit of a
    message."""

    @asynccontextmanager
    async def connect(query: str = "") -> AsyncIterator[Talk]:
        url = str(client.make_url("/v1/realtime")).replace("http", "ws", 1) + query
        protocols = [websockets.Subprotocol("realtime")]
        async with websockets.connect(url, subprotocols=protocols, proxy=None) as ws:
            yield Talk(ws)

    return connect


def play(client: Client, *lines: str | Delta | Exception | asyncio.Event) -> Script:
    """Give all characters a model that follows a script."""
    client.app[CONVERSATIONS].models = script = Script(*lines)
    return script


def of(kind: type[Any], events: list[Any]) -> list[Any]:
    """The events of one kind."""
    return [event for event in events if isinstance(event, kind)]


def texts(kind: type[Any], events: list[Any]) -> list[str]:
    """Return the texts of the deltas of one kind."""
    return [event.delta for event in of(kind, events)]


def instructed(text: str) -> dict[str, str]:
    """Instructions that a user typed."""
    return {"type": "constant", "text": text, "language": "en"}


def system_prompt(script: Script) -> Any:
    """Return the first message of the model's first request."""
    return script.asked[0].messages[0]["content"]


# The load test


async def test_the_load_test_passes(client: Client, connect: Connect) -> None:
    """A turn has the events of the table in order: each word as ready and then as spoken, and a history at the end."""
    play(client, "Well", ", hel", "lo there.")
    async with connect() as talk:
        assert (await talk.update(voice="voices/ada.wav")).type == "session.updated"
        events = await talk.greeting()
    ready, spoken = "unmute.response.text.delta.ready", "response.text.delta"
    end = ["response.text.done", "unmute.additional_outputs"]
    assert [event.type for event in events] == ["response.created", *[ready, spoken] * 3, *end]
    assert events[-1].args.chat_history == [HistoryMessage(role="assistant", content="Well, hello there.")]


async def test_every_event_has_an_id_of_its_own(client: Client, connect: Connect) -> None:
    """No two events of a connection share an `event_id`."""
    play(client, "One two three.")
    async with connect() as talk:
        events = [await talk.update(), *await talk.greeting()]
    assert len({event.event_id for event in events}) == len(events)


async def test_a_long_answer_arrives_whole(client: Client, connect: Connect) -> None:
    """A response of more words than the queue holds reaches a client that reads."""
    play(client, "word " * 2_000)
    async with connect() as talk:
        await talk.update()
        assert texts(TextDelta, await talk.greeting()) == ["word"] * 2_000


# Words


async def test_pieces_become_whole_words(client: Client, connect: Connect) -> None:
    """However a model cuts its text, each word is sent whole: ready with its space, spoken without."""
    play(client, "He", "llo", " wor", "ld! ", "Good", "bye", ".\n")
    async with connect() as talk:
        await talk.update()
        events = await talk.greeting()
    assert texts(Ready, events) == ["Hello", " world!", " Goodbye."]
    assert texts(TextDelta, events) == ["Hello", "world!", "Goodbye."]


async def test_the_text_is_done_with_all_that_was_ready(client: Client, connect: Connect) -> None:
    """`response.text.done` repeats the ready deltas, with the line breaks that the model made."""
    play(client, "One.\n\nTwo", " three.")
    async with connect() as talk:
        await talk.update()
        events = await talk.greeting()
    assert of(TextDone, events)[0].text == "".join(texts(Ready, events)) == "One.\n\nTwo three."


async def test_a_word_is_not_held_back(client: Client, connect: Connect) -> None:
    """A word is sent as soon as the next one begins."""
    play(client, "Hello ", asyncio.Event())
    async with connect() as talk:
        await talk.update()
        await talk.sound()
        assert texts(TextDelta, await talk.until("response.text.delta")) == ["Hello"]


async def test_text_after_a_tool_begins_a_new_word(client: Client, connect: Connect) -> None:
    """The words before and after a tool call are separate, and the call is not sent."""
    call = Delta(calls=(CallDelta(0, "call_1", "nothing", "{}"),))
    script = play(client, "Wait.", call, Delta(finish="tool_calls"))
    async with connect() as talk:
        await talk.update()
        await talk.sound()
        events = await talk.until("response.text.done")
    assert len(script.asked) > 1
    assert texts(Ready, events)[:2] == ["Wait.", " Wait."]


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        (("你好，世", "界。「好！」她说", "。"), ["你好，", "世界。", "「好！」", "她说。"]),
        (("元気？！", "はい"), ["元気？！", "はい"]),
        (("wait…", "what?"), ["wait…what?"]),
        (("\n", " Hi \t", "\n"), ["\n Hi"]),
        ((" ", ""), []),
    ],
)
def test_words_end_at_spaces_or_where_a_language_has_none_at_marks(pieces: tuple[str, ...], words: list[str]) -> None:
    """Chinese and Japanese text is sent clause by clause."""
    splitter = WordSplitter()
    assert [word for piece in pieces for word in splitter.take(piece)] + list(splitter.end()) == words


# Who speaks, and how


@pytest.mark.parametrize("voice", ["Bo", "voices/bo.wav", " Bo "])
async def test_the_voice_chooses_the_character(client: Client, connect: Connect, write: Write, voice: str) -> None:
    """`voice` is the name of a character or the path of its voice."""
    write("bo.py", character("Bo"))
    await client.post("/v1/characters/reload", json={})
    script = play(client, "Hi.")
    async with connect() as talk:
        await talk.update(voice=voice)
        assert (await talk.greeting())[0].response.voice == voice
    assert script.voices == ["Bo"]


async def test_of_two_with_the_same_voice_the_listed_one_speaks(client: Client, connect: Connect, write: Write) -> None:
    """A path means one of the voices that clients were given, not a character that is not listed."""
    write("a_bo.py", character("Bo").replace('"good": True', '"good": False').replace("bo.wav", "ada.wav"))
    await client.post("/v1/characters/reload", json={})
    script = play(client, "Hi.")
    async with connect() as talk:
        await talk.update(voice="voices/ada.wav")
        await talk.greeting()
    assert script.voices == ["Ada"]


async def test_an_unknown_voice_leaves_the_default(client: Client, connect: Connect) -> None:
    """An unknown voice is no error, and the response names the default character."""
    play(client, "Hi.")
    async with connect() as talk:
        assert (await talk.update(voice="voices/nobody.wav")).session.voice == "voices/nobody.wav"
        assert (await talk.greeting())[0].response.voice == "Ada"


async def test_the_last_voice_before_the_greeting_counts(client: Client, connect: Connect, write: Write) -> None:
    """The last voice before the greeting is the character."""
    write("bo.py", character("Bo"))
    await client.post("/v1/characters/reload", json={})
    script = play(client, "Hi.")
    async with connect() as talk:
        for voice in ("Ada", None, "Bo", "nobody", None):
            await talk.update(voice=voice)
        await talk.greeting()
    assert script.voices == ["Bo"]


async def test_a_named_model_is_not_changed_by_a_voice(client: Client, connect: Connect, write: Write) -> None:
    """A character that was named in the URL is not changed by a voice."""
    write("bo.py", character("Bo"))
    await client.post("/v1/characters/reload", json={})
    script = play(client, "Hi.")
    async with connect("?model=Ada&dialect=unmute") as talk:
        await talk.update(voice="Bo")
        await talk.greeting()
    assert script.voices == ["Ada"]


async def test_what_a_user_typed_is_added_to_the_prompt(client: Client, connect: Connect) -> None:
    """Constant instructions stand behind the character's own."""
    script = play(client, "Hi.")
    async with connect() as talk:
        await talk.update(instructions=instructed("Speak in rhymes."))
        await talk.greeting()
    assert system_prompt(script) == "Be kind.\n\nSpeak in rhymes."


@pytest.mark.parametrize(
    "instructions", [instructed("Be kind."), instructed(""), {"type": "smalltalk", "text": "Be small."}, None]
)
async def test_other_instructions_mean_the_character_as_it_is(
    client: Client, connect: Connect, instructions: object
) -> None:
    """The character's own text, none, and the names of unmute's prompts add nothing."""
    script = play(client, "Hi.")
    async with connect() as talk:
        await talk.update(instructions=instructions)
        await talk.greeting()
    assert system_prompt(script) == "Be kind."


async def test_null_leaves_instructions_as_they_are(client: Client, connect: Connect) -> None:
    """Null instructions keep those that were set, and another type replaces them."""
    script = play(client, "Hi.")
    for last, expected in ((None, "Be kind.\n\nRhyme."), ({"type": "news"}, "Be kind.")):
        async with connect() as talk:
            await talk.update(instructions=instructed("Rhyme."))
            await talk.update(instructions=last)
            await talk.greeting()
        assert script.asked.pop().messages[0]["content"] == expected


async def test_the_prompt_is_never_sent(client: Client, connect: Connect) -> None:
    """The histories for clients do not have the system prompt."""
    play(client, "Hi.")
    async with connect() as talk:
        await talk.update()
        created, *_, outputs = await talk.greeting()
    assert created.response.chat_history == []
    assert [entry.role for entry in outputs.args.chat_history] == ["assistant"]


# The session


@pytest.mark.parametrize(
    "session",
    [
        {"instructions": None, "voice": None, "allow_recording": False},
        {"voice": "Ada", "allow_recording": True},
        {"instructions": {"type": "quiz_show", "language": "fr"}, "voice": "Ada", "allow_recording": True},
    ],
)
async def test_the_session_is_answered_as_received(connect: Connect, session: dict[str, Any]) -> None:
    """`session.updated` repeats the received session and adds nothing."""
    async with connect() as talk:
        await talk.send("session.update", session=session)
        assert (await talk.event()).session.model_dump(exclude_unset=True) == session
        await talk.sound()


async def test_unknown_fields_are_not_repeated(client: Client, connect: Connect) -> None:
    """Fields outside the table are not repeated, since other clients refuse them."""
    play(client, "Hi.")
    async with connect() as talk:
        assert await talk.update(speed=2)
        await talk.greeting()


async def test_recording_is_answered_also_where_it_was_not_asked_about(connect: Connect) -> None:
    """`session.updated` always has `allow_recording`, which clients require."""
    async with connect() as talk:
        await talk.send("session.update", session={"instructions": {"type": "smalltalk"}})
        assert (await talk.event()).session.allow_recording is False
        await talk.sound()


async def test_a_later_update_is_only_acknowledged(client: Client, connect: Connect, write: Write) -> None:
    """An update after the greeting is only acknowledged."""
    write("bo.py", character("Bo"))
    await client.post("/v1/characters/reload", json={})
    script = play(client, "Hi.")
    async with connect() as talk:
        await talk.update()
        await talk.greeting()
        await talk.update(voice="Bo")
        await talk.sound()
        assert (await talk.update()).type == "session.updated"
    assert script.voices == ["Ada"]


async def test_a_later_voice_does_not_tie_the_session_to_another_character(
    client: Client, connect: Connect, write: Write
) -> None:
    """A voice after the greeting does not change which character's reload closes the session."""
    write("bo.py", character("Bo"))
    await client.post("/v1/characters/reload", json={})
    play(client, "Hi.")
    async with connect() as talk:
        await talk.update()
        await talk.greeting()
        await talk.update(voice="Bo")
        write("bo.py", character("Bo", "Be brief."))
        answer = await client.post("/v1/characters/reload", json={"sessions": "close_affected"})
        assert (await answer.json())["sessions"]["affected"] == 0


# When the character speaks


async def test_sound_before_the_session_begins_is_taken_in_silence(client: Client, connect: Connect) -> None:
    """Audio before the first update is ignored, and the greeting waits for audio after it."""
    play(client, "Hi.")
    async with connect() as talk:
        await talk.sound()
        assert (await talk.update()).type == "session.updated"
        assert (await talk.update()).type == "session.updated"
        assert (await talk.greeting())[0].type == "response.created"


async def test_without_sound_the_character_speaks_after_a_while(
    client: Client, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client without a microphone is greeted too."""
    monkeypatch.setattr(unmute, "GREETING_DELAY", 0.01)
    play(client, "Hi.")
    async with connect() as talk:
        await talk.update()
        assert (await talk.until("response.text.done"))[-1].text == "Hi."


def test_the_wait_for_sound_is_a_second() -> None:
    """The delay that tests shorten is the one of the protocol."""
    source = Path(unmute.__file__).read_text()
    assert "\nGREETING_DELAY = 1.0\n" in source


async def test_disconnecting_before_the_greeting_ends_the_session_at_once(client: Client, connect: Connect) -> None:
    """The wait for audio ends with the connection, without a request to the model."""
    script = play(client, "Hi.")
    async with connect() as talk:
        await talk.update()
    async with asyncio.timeout(60):
        while len(client.app[SESSIONS]):
            await asyncio.sleep(0.01)
    assert script.asked == []


async def test_disconnecting_in_mid_response_stops_the_model(client: Client, connect: Connect) -> None:
    """The model of a client that left is stopped."""
    play(client, "Hello ", asyncio.Event())
    async with connect() as talk:
        await talk.update()
        await talk.sound()
        await talk.until("response.text.delta")
    async with asyncio.timeout(60):
        while len(client.app[SESSIONS]):
            await asyncio.sleep(0.01)


# What goes wrong


@pytest.mark.parametrize(
    ("event", "details"),
    [
        ({"type": "response.create"}, "Supported types are: session.update, input_audio_buffer.append, session.chara"),
        ({"type": "session.update"}, "'session'"),
        ({"type": "session.update", "session": {"allow_recording": "yes"}}, "'session.allow_recording'"),
        ({"type": "session.update", "session": {"allow_recording": True, "voice": 3}}, "'session.voice'"),
        ({"type": "session.update", "session": {"instructions": "Be kind."}}, "'session.instructions'"),
        ({"type": "session.update", "session": {"instructions": {}}}, "'session.instructions.type'"),
        ({"type": "session.update", "session": {"instructions": {"type": "constant"}}}, "'session.instructions'"),
        ({"type": "session.update", "session": {"voice": "v" * 300_000}}, "262,144 bytes"),
        ({"type": "input_audio_buffer.append"}, "'audio'"),
        ({"type": "input_audio_buffer.append", "audio": "?"}, "'audio'"),
        ("no event", "JSON"),
    ],
)
async def test_what_is_not_valid_is_refused_and_the_connection_kept(
    connect: Connect, event: object, details: str
) -> None:
    """Invalid input has the error `Invalid message` with the cause, and the connection stays open."""
    async with connect("?dialect=unmute") as talk:
        await talk.ws.send(json.dumps(event))
        error = (await talk.event()).error
        assert (error.type, error.message) == ("invalid_request_error", "Invalid message")
        assert details in error.details
        assert (await talk.update()).type == "session.updated"
        await talk.sound()


async def test_a_binary_frame_is_refused(connect: Connect) -> None:
    """A binary frame is refused, since audio is sent as base64 in text frames."""
    async with connect("?dialect=unmute") as talk:
        await talk.ws.send(b"OggS")
        assert (await talk.event()).error.message == "Invalid message"


async def test_a_refused_update_changes_nothing(client: Client, connect: Connect, write: Write) -> None:
    """A session.update with one bad field does not choose the character that it names."""
    write("bo.py", character("Bo"))
    await client.post("/v1/characters/reload", json={})
    script = play(client, "Hi.")
    async with connect("?dialect=unmute") as talk:
        assert (await talk.update(voice="Bo", allow_recording="yes")).type == "error"
        await talk.update()
        await talk.greeting()
    assert script.voices == ["Ada"]


async def test_bad_sound_is_refused_once(connect: Connect) -> None:
    """A microphone that sends nonsense 25 times a second does not bury its user in errors."""
    async with connect("?dialect=unmute") as talk:
        for audio in ("?", "?", 3, None):
            await talk.sound(audio)
        assert (await talk.event()).type == "error"
        assert (await talk.update()).type == "session.updated"
        await talk.sound()


async def test_a_failed_answer_is_an_error_and_the_connection_kept(client: Client, connect: Connect) -> None:
    """A failed response ends its text, its error names the cause, and the connection stays open."""
    play(client, "Hello the", ModelError("unreachable", "The language model cannot be reached."))
    async with connect() as talk:
        await talk.update()
        await talk.greeting()
        error = (await talk.event()).error
        assert (await talk.update()).type == "session.updated"
    assert (error.type, error.message) == ("server_error", "The language model cannot be reached.")


async def test_an_answer_that_fails_at_once_has_an_empty_text(client: Client, connect: Connect) -> None:
    """A response that fails before its first text has no history."""
    play(client, ModelError("unreachable", "The language model cannot be reached."))
    async with connect() as talk:
        await talk.update()
        events = await talk.greeting()
    assert [event.type for event in events] == ["response.created", "response.text.done", "error"]


@pytest.mark.parametrize(("owner", "broken"), [(Script, "of"), (WordSplitter, "take")])
async def test_a_fault_of_the_server_closes_with_1011(
    client: Client, connect: Connect, monkeypatch: pytest.MonkeyPatch, owner: type, broken: str
) -> None:
    """An unexpected error is reported before the close, at the start of a response or in the middle."""
    play(client, "Hi.")
    monkeypatch.setattr(owner, broken, None)
    async with connect() as talk:
        await talk.update()
        await talk.sound()
        events, code, _ = await talk.rest()
    assert (len(of(Error, events)), events[-1].type, code) == (1, "error", 1011)


# How it ends


@pytest.mark.parametrize("goodbye", ["So long. Bye!", "Goodbye! \n"])
async def test_bye_at_the_end_closes_normally(client: Client, connect: Connect, goodbye: str) -> None:
    """A character that ends with `Bye!` ends the conversation, after everything was sent."""
    play(client, goodbye)
    async with connect() as talk:
        await talk.update()
        assert (await talk.greeting())[-1].type == "unmute.additional_outputs"
        assert await talk.rest() == ([], 1000, "The character ended the conversation. Bye!")


async def test_bye_in_the_middle_ends_nothing(client: Client, connect: Connect) -> None:
    """Only the last word counts."""
    play(client, "He said Bye! and stayed.")
    async with connect() as talk:
        await talk.update()
        await talk.greeting()
        assert (await talk.update()).type == "session.updated"


async def test_a_reload_ends_the_text_before_it_closes(client: Client, connect: Connect) -> None:
    """A response that a reload cuts is ended, and one error has the reason before close code 1012."""
    play(client, "Hello the", asyncio.Event())
    async with connect() as talk:
        await talk.update()
        await talk.sound()
        await talk.until("response.text.delta")
        await client.post("/v1/characters/reload", json={})
        events, code, _ = await talk.rest()
    assert of(TextDone, events)[0].text == "Hello the"
    assert [event.error.type for event in of(Error, events)] == ["fatal"]
    assert code == 1012


async def test_the_wait_for_sound_does_not_hold_up_the_end(client: Client, connect: Connect) -> None:
    """A reload during it ends the session at once, without a word of the character."""
    script = play(client, "Hi.")
    async with connect() as talk:
        await talk.update()
        await client.post("/v1/characters/reload", json={})
        async with asyncio.timeout(60):
            events, code, _ = await talk.rest()
    assert ([event.type for event in events], code, script.asked) == (["error"], 1012, [])


async def test_long_audio_is_decoded_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop goes on for other clients meanwhile; a page is not worth a thread."""
    threads: list[threading.Thread] = []

    def note(audio: str, path: str) -> bytes:
        threads.append(threading.current_thread())
        return audio_bytes(audio, path)

    monkeypatch.setattr(audio_buffer, "audio_bytes", note)
    session: Any = SimpleNamespace(settings=UnmuteSettings())
    async with asyncio.TaskGroup() as tasks:
        handler = unmute.UnmuteHandler(session, tasks)
        for audio in (OGG_PAGE, "AAAA" * 1_000_000):
            await handler.obey({"type": "input_audio_buffer.append", "audio": audio})
    assert [thread is threading.main_thread() for thread in threads] == [True, False]


async def test_no_greeting_starts_after_the_close_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """No response starts if the wait for audio ends after the close message."""
    monkeypatch.setattr(unmute, "GREETING_DELAY", 60)
    frames: list[str] = []
    session: Any = SimpleNamespace(
        closing=SimpleNamespace(is_ending=True),
        choices=None,
        settings=UnmuteSettings(),
        configure=lambda settings: setattr(session, "settings", settings),
        send=frames.append,
        note=lambda: None,
        insist_on_room=lambda size: None,
        fail=lambda: frames.append("fault"),
    )
    async with asyncio.TaskGroup() as tasks:
        handler = unmute.UnmuteHandler(session, tasks)
        await handler.obey({"type": "session.update", "session": {"allow_recording": False}})
        await handler.obey({"type": "input_audio_buffer.append", "audio": OGG_PAGE})
    assert [TABLE.validate_json(frame).type for frame in frames] == ["session.updated"]
