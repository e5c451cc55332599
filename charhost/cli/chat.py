"""charhost chat: a conversation in the terminal, with a character of a running server."""

import asyncio
import signal
import sys
from contextlib import suppress
from functools import partial
from typing import Annotated, Any

import aiohttp
import typer
from yarl import URL

from charhost.cli.chat_catalog import ChatCatalog
from charhost.cli.client import CommandFailed, Exit, why_unreachable
from charhost.cli.client_options import HERE, Url, configured
from charhost.cli.lines import Lines
from charhost.cli.names import unknown_name
from charhost.text import one_line, printable

# Not printable for Python, but harmless: line breaks, tabs, the spaces of French and the joiner of emoji.
_shown = partial(printable, kept="\n\t\u00a0\u202f\u200d")

# After how many seconds a server that went away is looked for again, and again; then it is given up.
_PAUSES = (0.2, 0.3, 0.5, 1, 2, 3, 4, 5, 5, 5, 5, 5)
_HELP = (
    "/again has the last answer replaced, /prompt shows the prompt of the character (admins), /quit ends the "
    "conversation; another /word goes to the character"
)
_FORGOTTEN = "it does not remember this conversation: start it with --state FILE"
# The close codes of a server that stops, and of one that was killed.
_WENT_AWAY = (aiohttp.WSCloseCode.GOING_AWAY, aiohttp.WSCloseCode.ABNORMAL_CLOSURE)


def chat(
    name: Annotated[
        str | None, typer.Argument(help="The character to talk to (default: chosen from a list, else the server's).")
    ] = None,
    url: Url = HERE,
) -> None:
    """Talk to a character of a running server. Ctrl-C ends an answer, Ctrl-D the conversation, /help shows more.

    The key, where the server asks for one, comes from CHARHOST_API_KEY or CHARHOST_API_KEY_FILE.
    """
    keys = configured().api_keys
    try:
        with suppress(asyncio.CancelledError):  # by Ctrl-C
            asyncio.run(_Chat(url, name, keys[0] if keys else None).run())
    except CommandFailed as e:
        typer.echo(f"charhost: {e}", err=True)
        raise typer.Exit(e.status) from e
    if sys.stdin.isatty():  # the cursor is behind the prompt
        typer.echo()


class _Away(CommandFailed):
    """The server is not there, but may come back."""


class _Chat:
    """One person's conversation; it is resumed over a new socket when the server reloads, or was started again."""

    def __init__(self, url: str, name: str | None, key: str | None) -> None:
        self._server = url
        self._url = URL(url) / "v1/realtime"
        self._wanted = name
        self._query = self._new = {"dialect": "ga"}
        self._headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._lines = Lines()
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._name = ""
        self._generation: int | None = None
        self._answer: list[str] = []  # the items of the last response
        self._idle = asyncio.Event()
        self._unanswered: str | None = None
        self._is_answering = False
        self._looked = 0

    async def run(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self._interrupt, task)
        async with aiohttp.ClientSession(headers=self._headers, raise_for_status=self._insist) as http:
            self._catalog = ChatCatalog(self._server, http)
            if self._wanted is None and sys.stdin.isatty():
                self._wanted = await self._choose()
            self._query = self._new = self._new | ({} if self._wanted is None else {"model": self._wanted})
            wait: float | None = 0
            while wait is not None:
                await asyncio.sleep(wait)
                try:
                    wait = await self._session(http)
                except _Away as e:
                    wait = self._pause(e)

    async def _choose(self) -> str | None:
        """Return the character that the user picks; None, for that of the server, without a choice."""
        entries = await self._catalog.characters()
        names = [str(entry["name"]) for entry in entries]
        if len(names) < 2:
            return None
        for number, entry in enumerate(entries, 1):
            comment = f"  {one_line(entry['comment'])}" if entry.get("comment") else ""
            typer.echo(f"{number:3} {_shown(names[number - 1])}{typer.style(comment, dim=True)}")
        picked = (await self._lines.next(f"Talk to (1-{len(names)}, or a name): ") or "").strip()
        if picked.isdecimal() and 1 <= int(picked) <= len(names):
            return names[int(picked) - 1]
        return picked or None

    async def _insist(self, answer: aiohttp.ClientResponse) -> None:
        """Raise `CommandFailed`, with the server's own sentence, for a refusal."""
        if answer.status < 400:
            return
        lines = [f"{self._server} refused the conversation: HTTP {answer.status}"]
        with suppress(ValueError, LookupError, TypeError, aiohttp.ClientError):  # a body of another kind has no message
            lines.append(one_line((await answer.json(content_type=None))["error"]["message"]))
        if answer.status == 401:
            lines.append("The key is read from CHARHOST_API_KEY or CHARHOST_API_KEY_FILE.")
        # A proxy sends these too while its server restarts.
        kind = _Away if answer.status in (502, 503, 504) else CommandFailed
        raise kind("\n  ".join(lines), Exit.NOT_AUTHORISED if answer.status == 401 else Exit.REFUSED)

    def _pause(self, away: _Away) -> float:
        """Return the seconds to wait before looking for the server again; raise *away* to give up."""
        if self._is_answering:
            typer.echo(" …")
            self._is_answering = False
        if not self._name or self._looked == len(_PAUSES):
            raise away
        if not self._looked:
            typer.secho("(the server went away; waiting for it)", err=True, dim=True)
        self._looked += 1
        return _PAUSES[self._looked - 1]

    async def _session(self, http: aiohttp.ClientSession) -> float | None:
        """Hold one session; return the seconds until the next, None when the user is done."""
        self._idle.clear()
        try:
            socket = await http.ws_connect(self._url, params=self._query, protocols=("realtime",), heartbeat=20)
        except aiohttp.WSServerHandshakeError as e:
            raise CommandFailed(
                f"{self._server} holds no conversations (HTTP {e.status}): is it a charhost server?"
            ) from e
        except (aiohttp.ClientError, OSError) as e:
            raise _Away(why_unreachable(self._server, e), Exit.UNREACHABLE) from e
        async with socket as self._socket:
            listening = asyncio.create_task(self._listen(http, socket))
            speaking = asyncio.create_task(self._speak(socket))
            try:
                await asyncio.wait({listening, speaking}, return_when=asyncio.FIRST_COMPLETED)
                return await (listening if listening.done() else speaking)
            finally:
                self._socket = None
                listening.cancel()
                speaking.cancel()

    async def _speak(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Carry out the user's lines, each after the answer to the one before, until there are no more."""
        await self._idle.wait()
        while (line := await self._next_line()) is not None:
            match line.strip():
                case "/quit":
                    return
                case "" | "/help" | "/prompt" as word:
                    await self._show_about(word)
                    self._unanswered = None
                case word:
                    await self._note_change()
                    self._idle.clear()
                    with suppress(ConnectionError):  # the session ends: the next one begins with the line
                        await (self._ask_again(socket) if word == "/again" else self._ask(socket, line))
                    await self._idle.wait()

    async def _next_line(self) -> str | None:
        """Return the line that the session before ended at, else the next; it is kept until it is carried out."""
        if self._unanswered is None:
            self._unanswered = await self._lines.next()
        return self._unanswered

    async def _show_about(self, word: str) -> None:
        if word == "/help":
            typer.echo(_HELP)
        elif word == "/prompt":
            try:
                typer.echo(_shown(await self._catalog.prompt(self._name)))
            except CommandFailed as e:
                typer.secho(f"({_shown(str(e))})", err=True, dim=True)

    async def _ask_again(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        for item in tuple(self._answer):  # one that is deleted leaves it meanwhile
            await socket.send_json({"type": "conversation.item.delete", "item_id": item})
        await socket.send_json({"type": "response.create"})

    async def _ask(self, socket: aiohttp.ClientWebSocketResponse, line: str) -> None:
        content = [{"type": "input_text", "text": line}]
        item = {"type": "message", "role": "user", "content": content}
        await socket.send_json({"type": "conversation.item.create", "item": item})
        await socket.send_json({"type": "response.create"})

    async def _note_change(self) -> None:
        """Print in a terminal that a reload has changed the character."""
        if not sys.stdin.isatty():
            return
        before, self._generation = self._generation, await self._catalog.generation(self._name)
        if None not in (before, self._generation) and before != self._generation:
            typer.secho(f"({_shown(self._name)} is new: generation {self._generation})", err=True, dim=True)

    async def _listen(self, http: aiohttp.ClientSession, socket: aiohttp.ClientWebSocketResponse) -> float:
        """Print the character's response; return the seconds until the next session when the server ends this one."""
        wait: float | None = None
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.TEXT:  # the connection was lost
                break
            event = message.json()
            match event:
                case {"type": "error", "error": {"code": "characters_reloaded", "retry_after_ms": milliseconds}}:
                    wait = milliseconds / 1000
                case {"type": "error", "error": {"code": "session_not_found"}} if self._looked:
                    raise CommandFailed(f"{self._server} is back, but {_FORGOTTEN}")
                case {"type": "error", "error": {"code": "session_not_found"}}:
                    wait, self._query = 0, self._new
                case {"type": "error", "error": {"code": "model_not_found"}}:
                    known = await self._known(http)
                    raise CommandFailed(one_line(unknown_name(self._wanted or "", known, f"at {self._server}")))
            await self._show(socket, event)
        if wait is None and socket.close_code in _WENT_AWAY:
            raise _Away(f"{self._server} went away and did not come back", Exit.UNREACHABLE)
        if wait is None:
            raise CommandFailed(f"the server ended the conversation (close code {socket.close_code})")
        return wait

    async def _known(self, http: aiohttp.ClientSession) -> list[str]:
        try:
            async with http.get(self._url.parent / "models") as answer:
                return [model["id"] for model in (await answer.json())["data"]]
        except (aiohttp.ClientError, OSError) as e:
            raise _Away(why_unreachable(self._server, e), Exit.UNREACHABLE) from e

    async def _show(self, socket: aiohttp.ClientWebSocketResponse, event: dict[str, Any]) -> None:
        match event:
            case {"type": "session.created", "session": {"id": str(session_id), "model": str(name)}}:
                self._query = {"resume": session_id}
                await self._opened(socket, name)
            case {"type": "response.created"}:
                self._unanswered, self._is_answering, self._looked = None, True, 0
                self._answer = []
                typer.secho(f"{_shown(self._name)}: ", bold=True, nl=False)
            case {"type": "response.output_text.delta", "delta": str(delta)}:
                typer.echo(_shown(delta), nl=False)
            case {"type": "response.output_item.done", "item": {"id": str(item)}}:
                self._answer.append(item)
            case {"type": "conversation.item.deleted", "item_id": str(item)} if item in self._answer:
                self._answer.remove(item)
            case {"type": "response.done", "response": {"status_details": details}}:
                typer.echo(_ending(details))
                self._is_answering = False
                self._idle.set()
            case {"type": "error", "error": {"message": str(text)}}:
                typer.secho(_shown(text), err=True, dim=True)

    async def _opened(self, socket: aiohttp.ClientWebSocketResponse, name: str) -> None:
        first, self._name = not self._name, name
        await self._note_change()
        if self._unanswered is None:  # else the line that is sent again may be the one that ends the server
            self._looked = 0
        if first and sys.stdin.isatty():  # the character speaks first; a script has its question ready
            await socket.send_json({"type": "response.create"})
        else:
            self._idle.set()

    def _interrupt(self, task: asyncio.Task[Any]) -> None:
        """End the answer that is under way, or else the conversation."""
        if self._socket is None or self._idle.is_set():
            task.cancel()
        else:
            self._cancelling = asyncio.create_task(self._socket.send_json({"type": "response.cancel"}))


def _ending(details: dict[str, Any] | None) -> str:
    match details:
        case {"type": "failed", "error": {"message": str(text)}}:
            return f" ({_shown(text)})"
        case {"type": "cancelled"}:
            return " …"
    return ""
