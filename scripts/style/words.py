"""Words of docstrings and comments that have a plainer one, per 1,000 words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from scripts.style.figure import Figure, Offender
from scripts.style.source import Source


class Rule(NamedTuple):
    """A name, the words that count, and how often per 1,000 words they must not occur."""

    name: str
    words: re.Pattern[str]
    below: float | None


RULES = (
    Rule(
        "whoever, whom, nobody, somebody, anybody", re.compile(r"\b(whoever|whom|nobody|somebody|anybody)\b", re.I), 1
    ),
    # At the start of a sentence or clause it is the verb; elsewhere it is mostly the noun.
    Rule("Answer(s) for return(s)", re.compile(r"(^|[.!?:]\s+)Answers?\b|;\s+answers?\b", re.M), 1),
    Rule("say, says, said, tell, tells, told", re.compile(r"\b(say|says|said|tell|tells|told)\b", re.I), 2),
    Rule("what", re.compile(r"\bwhat\b", re.I), 2),
    Rule("return, returns", re.compile(r"\breturns?\b", re.I), None),
)
WORD = re.compile(r"[A-Za-z][A-Za-z'’-]*")


def words(sources: Sequence[Source]) -> Iterator[Figure]:
    """Count the words of each rule in the docstrings and comments."""
    prose = [(source.path, line, text) for source in sources for line, text in lines_of(source)]
    total = sum(len(WORD.findall(text)) for _, _, text in prose)
    yield Figure("words of docstrings and comments", total)
    for rule in RULES:
        found = tuple(
            Offender(path, line, text.strip()) for path, line, text in prose for _ in rule.words.finditer(text)
        )
        offenders = found if rule.below is not None else ()
        rate = 1000 * len(found) / max(total, 1)
        yield Figure(rule.name, rate, "per 1,000", f"{len(found)}", below=rule.below, offenders=offenders)


def lines_of(source: Source) -> Iterator[tuple[int, str]]:
    """Yield each line of the docstrings and comments with its number."""
    for start, text in (*source.docstrings(), *source.comments()):
        yield from enumerate(text.splitlines(), start)
