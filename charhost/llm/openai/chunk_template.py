"""ChunkTemplate: the bytes around the text, which are the same in most chunks of a response."""

from typing import Any

from charhost.jsontext import bounded

_KEY = b'"content":"'
_PROBE = "probe"
# Of a server whose chunks differ in more than their text.
_MOST_VAIN_LESSONS = 8


class ChunkTemplate:
    """Reads the text of a chunk without parsing it, if all else is as in one that was parsed before."""

    def __init__(self) -> None:
        self._head = self._tail = b""
        self._vain_lessons = 0  # since a template last fitted

    def text(self, data: bytes) -> str | None:
        """Return the text of a chunk; None if the chunk, or a part of its text, has to be parsed."""
        if not self._fits(data):
            return None
        letters = data[len(self._head) : len(data) - len(self._tail)]
        if not letters or b'"' in letters or b"\\" in letters:
            return None
        try:
            text = letters.decode()
        except UnicodeDecodeError:
            return None
        self._vain_lessons = 0
        # JSON has no control characters in strings.
        return text if text.isprintable() else None

    def learn(self, data: bytes) -> None:
        """Take the template from a chunk that has text and nothing else that matters."""
        if self._fits(data):  # the text had to be parsed
            return
        head, key, rest = data.partition(_KEY)
        _, quote, tail = rest.partition(b'"')
        if not quote or _KEY in rest or self._vain_lessons == _MOST_VAIN_LESSONS:
            return
        self._vain_lessons += 1
        head, tail = head + key, quote + tail
        if _text_of(head + _PROBE.encode() + tail) == _PROBE:
            self._head, self._tail = head, tail

    def forget(self) -> None:
        """Parse each chunk from now on."""
        self._head = b""
        self._vain_lessons = _MOST_VAIN_LESSONS

    def _fits(self, data: bytes) -> bool:
        return bool(self._head) and data.startswith(self._head) and data.endswith(self._tail)


def _text_of(data: bytes) -> Any:
    try:
        return bounded(data, allow_nan=True)["choices"][0]["delta"]["content"]
    except (IndexError, KeyError, TypeError, ValueError):
        return None
