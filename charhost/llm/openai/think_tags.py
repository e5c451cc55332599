"""ThinkTags: the thinking that some servers write into the text, before the reply."""

_TAGS = ("<think>", "<thought>")
_MOST_SPACE = 100


class ThinkTags:
    """Splits a streamed text into the thinking in tags at its beginning, and the rest; `done` once that has begun."""

    def __init__(self) -> None:
        self.done = False
        self._held = ""
        self._end = ""
        self._has_ended = False

    def split(self, piece: str) -> tuple[str, str]:
        """Return the thinking and the text that may be passed on; the possible beginning of a tag is held back."""
        text, self._held = self._held + piece, ""
        if not self._end and not self._has_ended:
            text = self._begin(text)
        if not self._end:
            return "", self._reply(text) if self._has_ended else text
        thought, end, text = text.partition(self._end)
        if end:
            self._end, self._has_ended = "", True
            return thought, self._reply(text)
        split = len(thought) - next((n for n in range(len(self._end) - 1, 0, -1) if thought.endswith(self._end[:n])), 0)
        self._held = thought[split:]
        return thought[:split], ""

    def rest(self) -> tuple[str, str]:
        """Return the text that is held back, at the end."""
        return (self._held, "") if self._end else ("", self._held)

    def _begin(self, text: str) -> str:
        """Return the text after the first tag; without one all of *text*, or nothing while it may begin a tag."""
        begun = text.lstrip()
        if begun and begun[0] != "<":
            self.done = True
            return text
        if (tag := next((tag for tag in _TAGS if begun.startswith(tag)), None)) is not None:
            self._end = f"</{tag[1:]}"
            return begun[len(tag) :]
        if len(text) < _MOST_SPACE and any(tag.startswith(begun) for tag in _TAGS):
            self._held = text
            return ""
        self.done = True
        return text

    def _reply(self, text: str) -> str:
        text = text.lstrip()
        self.done = bool(text)
        return text
