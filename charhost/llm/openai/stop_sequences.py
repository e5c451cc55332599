"""StopSequences: ends a streamed text where one of the strings of `stop` begins."""

from collections.abc import Iterable

from charhost.llm.model import Delta


class StopSequences:
    """Applies `stop` for a server that does not; `found` after the first of the strings."""

    def __init__(self, strings: Iterable[str]) -> None:
        self.found = False
        self._strings = [string for string in strings if string]
        self._held = ""

    def cut(self, delta: Delta) -> Delta:
        """Return the text that may be passed on; its end is held back while it may begin one of the strings."""
        text = self._passed(self._held + delta.text)
        if self.found:
            return Delta(text, finish="stop")
        if delta.calls or delta.finish:
            text, self._held = text + self._held, ""
        return delta._replace(text=text)

    def _passed(self, text: str) -> str:
        starts = [start for start in map(text.find, self._strings) if start >= 0]
        if starts:
            self.found, self._held = True, ""
            return text[: min(starts)]
        split = len(text) - max((self._begun(text, string) for string in self._strings), default=0)
        self._held = text[split:]
        return text[:split]

    @staticmethod
    def _begun(text: str, string: str) -> int:
        """Return the length of the longest end of *text* that begins *string*."""
        return next((n for n in range(min(len(string) - 1, len(text)), 0, -1) if text.endswith(string[:n])), 0)
