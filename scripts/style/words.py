"""Words of docstrings and comments that have a plainer one, per 1,000 words."""

import re
from collections.abc import Iterator, Sequence

from scripts.style.figure import Figure
from scripts.style.source import Source

# Each figure with its pattern, and the rate that it must stay below.
RULES: tuple[tuple[str, str, float | None], ...] = (
    ("whoever, whom, nobody, somebody, anybody", r"(?i)\b(whoever|whom|nobody|somebody|anybody)\b", 1),
    # At the start of a sentence or clause it is the verb; elsewhere it is mostly the noun.
    ("Answer(s) for return(s)", r"(?m)(^|[.!?:]\s+)Answers?\b|;\s+answers?\b", 1),
    ("say, says, said, tell, tells, told", r"(?i)\b(say|says|said|tell|tells|told)\b", 2),
    ("what", r"(?i)\bwhat\b", 2),
    ("return, returns", r"(?i)\breturns?\b", None),
)
WORD = re.compile(r"[A-Za-z][A-Za-z'’-]*")


def words(sources: Sequence[Source]) -> Iterator[Figure]:
    """Count the words of each rule in the docstrings and comments."""
    prose = [(f"{source.path}:{line}", text) for source in sources for line, text in _lines(source)]
    total = sum(len(WORD.findall(text)) for _, text in prose)
    yield Figure("words of docstrings and comments", total)
    for name, pattern, below in RULES:
        found = [f"{place}: {text.strip()}" for place, text in prose for _ in re.finditer(pattern, text)]
        offenders = found if below is not None else ()
        yield Figure(name, 1000 * len(found) / max(total, 1), "per 1,000", below=below, offenders=offenders)


def _lines(source: Source) -> Iterator[tuple[int, str]]:
    """Yield each line of the docstrings and comments with its number."""
    for start, text in (*source.docstrings(), *source.comments()):
        yield from enumerate(text.splitlines(), start)
