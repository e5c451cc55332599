from collections.abc import Mapping
from typing import Any

from charhost.jsontext import decoded, encoded
from charhost.llm.model import Delta, FinishReason, ModelError, Usage
from charhost.llm.openai.chunk_template import ChunkTemplate
from charhost.llm.openai.think_tags import ThinkTags
from charhost.llm.openai.tool_calls import ToolCalls, others

# Any other `finish_reason` of a server means "stop".
_FINISH: Mapping[str, FinishReason] = {
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "safety": "content_filter",
}


_LONGEST_FAULT = 4_000
_LONG = 64 << 10  # bytes: of a chunk that has more than a few words there are few

# Other fields of a message are the server's own, such as its thinking, and go back to it.
_MESSAGE = frozenset(("role", "content", "tool_calls", "refusal", "function_call", "annotations", "audio", "name"))


class UpstreamFault(Exception):
    """The server sent `error` in place of a chunk; `fault` is its value."""

    def __init__(self, fault: Any) -> None:
        super().__init__(encoded(fault)[:_LONGEST_FAULT].decode(errors="ignore"))
        self.fault = fault


class ChunkParser:
    """One response while it arrives; `done` after the server's `[DONE]`."""

    def __init__(self) -> None:
        self.done = False
        self._finished = False
        self._received = False
        self._usage: Usage | None = None
        self._calls = ToolCalls()
        self._tags: ThinkTags | None = ThinkTags()
        self._template = ChunkTemplate()

    def feed(self, data: bytes) -> Delta | None:
        """Parse one chunk, or a whole completion; raises `ModelError` and `UpstreamFault`."""
        if (text := self._template.text(data)) is not None:
            return Delta(text)
        self.done = self.done or (len(data) < _LONG and data.strip() == b"[DONE]")
        if self.done:
            self._template.forget()
            return None
        try:
            chunk = decoded(data, allow_nan=True)
            if error := chunk.get("error"):
                raise UpstreamFault(error)
            delta = self._read(chunk)
        except (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError) as e:
            raise ModelError("malformed", "The model's server sent an invalid chunk.") from e
        if self._finished:
            self._template.forget()
        elif self._tags is None and len(data) < _LONG and delta is not None and delta == Delta(delta.text):
            self._template.learn(data)
        return delta

    def end(self) -> list[Delta]:
        """Return the last pieces; raises `ModelError` if the response is incomplete."""
        last = []
        if not self._finished:
            if not (self.done and self._received):
                raise ModelError("truncated", "The model's response ended before it was complete.")
            thought, text = self._tags.rest() if self._tags is not None else ("", "")
            last.append(Delta(text, finish="tool_calls" if self._calls else "stop", reasoning=thought))
        if self._usage is not None:
            last.append(Delta(usage=self._usage))
        return last

    def _read(self, chunk: dict[str, Any]) -> Delta | None:
        if usage := chunk.get("usage"):
            self._usage = _usage(usage)  # some servers send it with every chunk: the last counts
        choices = chunk.get("choices")
        if not choices or self._finished:
            return None
        choice = choices[0]
        piece = choice.get("delta") or choice.get("message") or {}
        text, attached, reasoning = _text(content := piece.get("content")), None, ""
        if not piece.keys() <= _MESSAGE or isinstance(content, list):
            attached = _attached(piece)
            reasoning = _reasoning(attached or {})
        calls = tuple(self._calls.deltas(pieces)) if (pieces := piece.get("tool_calls")) else ()
        finish = self._finish(choice.get("finish_reason"))
        logprobs = _entries(listed.get("content")) if (listed := choice.get("logprobs")) else ()
        if self._tags is not None:
            thought, text = self._without_tags(text, is_last=bool(calls or finish))
            reasoning += thought
        if not (text or calls or finish or logprobs or attached or reasoning):
            return None
        self._received = True
        if logprobs or attached or reasoning:
            return Delta(text, calls, finish, None, logprobs, attached, reasoning)
        return Delta(text, calls, finish)

    def _without_tags(self, text: str, is_last: bool) -> tuple[str, str]:
        """Return the thinking in tags and the text; after the first words of the reply no more is looked for."""
        assert self._tags is not None
        thought, text = self._tags.split(text)
        if is_last:
            more, rest = self._tags.rest()
            thought, text = thought + more, text + rest
        if is_last or self._tags.done:
            self._tags = None
        return thought, text

    def _finish(self, reason: Any) -> FinishReason | None:
        if not reason:
            return None
        self._finished = True
        known = _FINISH.get(str(reason).lower(), "stop")
        # Some servers write "stop" after tool calls too.
        return "tool_calls" if known == "stop" and self._calls else known


def _attached(piece: dict[str, Any]) -> Mapping[str, Any] | None:
    """Return the fields that are the server's own, and the parts of the content that are no text."""
    attached, content = others(piece, _MESSAGE), piece.get("content")
    if isinstance(content, list) and (parts := [part for part in content if part.get("type", "text") != "text"]):
        return {**(attached or {}), "content": parts}
    return attached


def _reasoning(attached: Mapping[str, Any]) -> str:
    """Return the thinking in fields of their own; of two fields with the same thinking the first."""
    for name in ("reasoning_content", "reasoning", "thinking"):
        if isinstance(text := attached.get(name), str):
            return text
    lists = [attached.get(name) for name in ("reasoning_details", "thinking_blocks", "content")]
    return "".join(_thought(block) for blocks in lists if isinstance(blocks, list) for block in blocks)


def _thought(block: Any) -> str:
    if not isinstance(block, dict):
        return ""
    found = next((block[name] for name in ("text", "summary", "thinking") if block.get(name)), "")
    return found if isinstance(found, str) else "".join(map(_thought, found)) if isinstance(found, list) else ""


def _text(content: Any) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    # Some servers send parts; those of reasoning have no text.
    return "".join(part.get("text") or "" for part in content)


def _entries(logprobs: Any) -> tuple[dict[str, Any], ...]:
    return tuple(entry for entry in logprobs or () if isinstance(entry, dict))


def _usage(usage: dict[str, Any]) -> Usage:
    details = usage.get("prompt_tokens_details") or {}
    counts = usage.get("prompt_tokens"), usage.get("completion_tokens"), details.get("cached_tokens")
    return Usage(*(max(0, int(count or 0)) for count in counts))
