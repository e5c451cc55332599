from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from urllib.parse import urlsplit

_HIDDEN = "…"

# Any address or key: those of a proxy should not be shown either. Each begins only where a word does: otherwise a text
# without spaces would be looked through once for each of its characters.
_TELLTALE = re.compile(
    r"\b\w+://\S+"
    r"|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"
    r"|\[[\da-fA-F:.]{0,64}:[\da-fA-F:.]{0,64}\](?::\d+)?"
    r"|\b(?:sk|pk|gsk|hf|key)[-_][\w*.-]{6,}"
    r"|(?<!\S)\S*\*{3,}\S*"
    r"|(?<=\bbearer )\S+",
    re.IGNORECASE,
)
_SHORTEST_PART = 8
_LONGEST_TEXT = 4096


@dataclass(frozen=True)
class Endpoint:
    """The address of an OpenAI-compatible server, such as `http://127.0.0.1:11434/v1`, and the key for it."""

    url: str
    key: str | None = field(default=None, repr=False)
    query: str = ""

    @classmethod
    def of(cls, address: str, key: str | None) -> Endpoint:
        """Return the endpoint of an address that may end in a slash, `/chat/completions` or a query."""
        parts = urlsplit(address)
        path = parts.path.rstrip("/").removesuffix("/chat/completions").rstrip("/")
        return cls(f"{parts.scheme}://{parts.netloc}{path}", key, parts.query)

    def at(self, path: str) -> str:
        return f"{self.url}{path}?{self.query}" if self.query else f"{self.url}{path}"

    @cached_property
    def keyless(self) -> Endpoint:
        """The same address without the key."""
        return replace(self, key=None)

    @cached_property
    def digest(self) -> str:
        """A name for the address that does not reveal it."""
        return hashlib.sha256(f"{self.url}?{self.query}".encode()).hexdigest()[:16]

    @cached_property
    def host(self) -> str:
        return urlsplit(self.url).netloc.rpartition("@")[2]

    @cached_property
    def headers(self) -> Mapping[str, str]:
        # A compressed stream may be held back until a block of it is full.
        common = {"Content-Type": "application/json", "Accept-Encoding": "identity", "User-Agent": "charhost"}
        return common | {"Authorization": f"Bearer {self.key}"} if self.key else common

    def scrub(self, text: str) -> str:
        """Return *text* on one line without the address, the key and longer parts of the key."""
        for pattern in self._names():
            text = pattern.sub(_HIDDEN, text[:_LONGEST_TEXT])
        return self.scrub_key(text)

    def scrub_key(self, text: str) -> str:
        return " ".join(_HIDDEN if self._has_key(word) else word for word in text[:_LONGEST_TEXT].split())

    def _names(self) -> Iterator[re.Pattern[str]]:
        parts = urlsplit(self.url)
        yield _TELLTALE
        for name in (parts.netloc, parts.hostname):
            if name:
                yield re.compile(rf"(?<![\w.-]){re.escape(name)}(?::\d+)?(?![\w-])", re.IGNORECASE)
        if parts.path not in ("", "/", "/v1"):
            yield re.compile(re.escape(parts.path.rstrip("/")), re.IGNORECASE)
        if self.query:
            yield re.compile(re.escape(self.query), re.IGNORECASE)
        if parts.port:
            yield re.compile(rf"(?<=:){parts.port}\b|\bport\s+{parts.port}\b", re.IGNORECASE)

    def _has_key(self, word: str) -> bool:
        if not self.key:
            return False
        key, word, size = self.key.casefold(), word.casefold(), min(_SHORTEST_PART, len(self.key))
        return any(key[start : start + size] in word for start in range(len(key) - size + 1))
