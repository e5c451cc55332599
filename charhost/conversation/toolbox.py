from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from charhost.character.host_tools import HOST_TOOLS, Host
from charhost.character.instance import CharacterInstance
from charhost.conversation.items import FunctionCall, FunctionOutput
from charhost.errors import CharhostError, PluginFailed
from charhost.jsontext import decoded, encoded
from charhost.logs.line_limit import limited
from charhost.metrics import Metrics

log = logging.getLogger("charhost.conversation")

MOST_AT_A_TIME = 16
MOST_RESULT = 100_000


class BadArguments(Exception):
    pass


class Toolbox:
    """Runs the tools of a character, and with a *host* its host tools; an error becomes the result of its call."""

    def __init__(
        self, instance: CharacterInstance, metrics: Metrics, deadline: float, host: Host | None = None
    ) -> None:
        self._instance = instance
        self._metrics = metrics
        self._deadline = deadline
        self._host = host
        self._host_tools = instance.character.host_tools if host is not None else ()
        self._tools = [*instance.character.tools, *(HOST_TOOLS[name] for name in self._host_tools)]
        self._functions = {tool["function"]["name"]: tool["function"] for tool in self._tools}

    def __contains__(self, name: str) -> bool:
        return name in self._functions

    def beside(self, others: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Return the server's definitions and then those of a client; the server's win where names are equal."""
        return self._tools + [tool for tool in others if tool["function"]["name"] not in self._functions]

    async def run_all(self, calls: Sequence[FunctionCall]) -> list[FunctionOutput]:
        slots = asyncio.Semaphore(MOST_AT_A_TIME)
        return await asyncio.gather(*(self._run(call, slots) for call in calls))

    async def _run(self, call: FunctionCall, slots: asyncio.Semaphore) -> FunctionOutput:
        async with slots:
            self._metrics.tool_calls.inc()
            with self._metrics.tool_latency.time():
                output = await self._result(call)
        return FunctionOutput(call_id=call.call_id, output=output[:MOST_RESULT], hidden=True)

    async def _result(self, call: FunctionCall) -> str:
        if call.name not in self._functions:
            known = ", ".join(self._functions) or "none"
            return self._failed(call, "UnknownTool", f"there is no tool {call.name!r}; there are: {known}")
        if self._host is not None and call.name in self._host_tools:
            return await self._ask_host(call, self._host)
        try:
            output, mistake = await self._instance.ask(lambda: self._output(call), self._deadline)
        except PluginFailed as e:
            return self._broken(e)
        return self._failed(call, "BadArguments", str(mistake)) if mistake else output

    async def _ask_host(self, call: FunctionCall, host: Host) -> str:
        try:
            arguments = self._arguments(call)
            async with asyncio.timeout(self._deadline):
                return await host.run(call.name, arguments)
        except (BadArguments, CharhostError) as e:
            return self._failed(call, type(e).__name__, str(e))
        except TimeoutError:
            text = f"the tool was not finished after {self._deadline:g} s; it may still be running"
            return self._failed(call, "Timeout", text)

    def _output(self, call: FunctionCall) -> tuple[str, BadArguments | None]:
        """Check the arguments and return the result; runs on a thread, as schemas can be slow."""
        try:
            arguments = self._arguments(call)
        except BadArguments as e:
            return "", e
        return self._instance.answer(call.name, arguments, self._deadline), None

    def _arguments(self, call: FunctionCall) -> dict[str, Any]:
        from charhost.character.tool_schema import misfit  # with the libraries of JSON Schema, which take long

        schema = encoded(self._functions[call.name].get("parameters", {"type": "object"}))
        try:
            value = decoded(call.arguments or "{}")
            mistake = misfit(schema, value)
        except ValueError as e:
            raise BadArguments(f"the arguments are no JSON: {e}") from e
        if mistake is not None:
            raise BadArguments(f"the arguments do not fit, {mistake}")
        return dict(value)

    def _failed(self, call: FunctionCall, error_type: str, text: str) -> str:
        self._metrics.tool_errors.labels(error_type).inc()
        name = self._instance.character.name
        log.info("tool call %s of character %s failed: %s", call.name, name, text, extra=limited(name))
        return f"Error: {text}"

    def _broken(self, error: PluginFailed) -> str:
        """Return the part of an error that helps the model; the log has the place in the file."""
        failure = error.failure
        timeout = failure.error_type == "LoadTimeout"
        self._metrics.tool_errors.labels("Timeout" if timeout else failure.error_type).inc()
        return f"Error: the tool was {failure.message}" if timeout else f"Error: {failure.exception}: {failure.message}"
