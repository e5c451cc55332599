import asyncio
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from charhost.character.calls import called
from charhost.character.character import Character
from charhost.character.diagnostics import explain
from charhost.errors import LoadTimeout, PluginFailed
from charhost.logs.line_limit import limited
from charhost.memory.weight import weigh
from charhost.report import FileError
from charhost.text import Lines, display
from charhost.threads.worker_pool import WorkerPool

T = TypeVar("T")

log = logging.getLogger("charhost.conversation")

MOST_PROMPT = 1_000_000


class CharacterInstance:
    """The `PromptGenerator` of one conversation; its methods run on threads, each call under a deadline.

    *made* is called with its prompt, once that is made.
    """

    def __init__(
        self,
        character: Character,
        pool: WorkerPool,
        deadline: float,
        made: Callable[[Character, str], None] = lambda character, prompt: None,
    ) -> None:
        self.character = character
        self._pool = pool
        self._deadline = deadline
        self._made = made
        self._making = asyncio.Lock()
        self._prompt: str | None = None
        self._generator: Any = None

    @property
    def weight(self) -> int:
        """The bytes of its prompt in memory."""
        return weigh(self._prompt)

    async def prompt(self) -> str:
        """Return the system prompt, made on the first call; raise `PluginFailed`."""
        if self._prompt is not None:
            return self._prompt
        async with self._making:
            if self._prompt is None:
                self._prompt = await self.ask(self._make_prompt, self._deadline)
                self._made(self.character, self._prompt)
            return self._prompt

    async def ask(self, job: Callable[[], T], deadline: float) -> T:
        """Run code of the character's file; raise `PluginFailed` for each of its exceptions."""
        outcome: T | FileError
        try:
            outcome = await self._pool.run(lambda: self._explained(job), deadline, self.character.version)
        except LoadTimeout as e:
            outcome = self._explain(e)
        if isinstance(outcome, FileError):
            name, trace = self.character.name, Lines(outcome.traceback or "")
            extra = limited(f"{name} {outcome.exception} {outcome.line}")
            log.warning("character %s failed: %s\n%s", name, outcome, trace, extra=extra)
            raise PluginFailed(outcome)
        return outcome

    def answer(self, tool: str, arguments: dict[str, Any], deadline: float) -> str:
        """Return the result of a tool call; to be run by `ask`."""
        return self._call("handle_tool_call", tool, arguments, deadline=deadline)

    def _explained(self, job: Callable[[], T]) -> T | FileError:
        try:
            return job()
        except BaseException as e:  # a file may raise SystemExit, KeyboardInterrupt and anything else
            return self._explain(e)

    def _explain(self, error: BaseException) -> FileError:
        character = self.character
        failure = explain(error, character.file, character.location, character.modules.helpers)
        return failure.model_copy(update={"character": character.name})

    def _make_prompt(self) -> str:
        prompt = self._call("make_system_prompt", deadline=self._deadline)
        if (length := len(prompt)) > MOST_PROMPT:
            raise ValueError(f"make_system_prompt returned {length:,} characters: expected at most {MOST_PROMPT:,}")
        return prompt

    def _call(self, method: str, *arguments: Any, deadline: float) -> str:
        value = called(getattr(self._instance(), method), *arguments, deadline=deadline)
        if not isinstance(value, str):
            raise TypeError(f"{method} returned a value of type {type(value).__name__}: expected a str")
        # A copy, because it may be of a subclass, with escapes for lone surrogates, which UTF-8 cannot encode.
        return display(str.__str__(value))

    def _instance(self) -> Any:
        if self._generator is None:
            self._generator = self.character.prompt_generator(self.character.instructions)
        return self._generator
