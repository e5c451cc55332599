"""Introduce a character from the beginning of its prompt, without giving the prompt away."""

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from charhost.llm.offline.languages import Language, languages
from charhost.llm.offline.pronouns import first_person

# "to" reads as an order only after "are": "You are to obey". Elsewhere it is harmless: "easy to talk to".
_HARMLESS_TO = re.compile(r"(?<!\bare )(?<!\bYou're )\bto\b", re.IGNORECASE)
_SENTENCE = re.compile(r"(?<!\bDr\.)(?<!\bMr\.)(?<!\bMs\.)(?<!\bMrs\.)(?<!\bSt\.)(?<!\bProf\.)(?<=[.!?…])\s")
_MOST_PROMPT = 1000
_MOST_CLAIM = 170


def introduction(name: str, instructions: Mapping[Any, Any], language: Language) -> str:
    """Return one or two sentences in which a character introduces itself in the first person.

    Clients never see a prompt, so only claims at its very beginning are used, such as "You are Ada." Words or signs
    that suggest an order, a rule or a secret end the introduction; the name is always in it.
    """
    text = " ".join(islice(_claims(_prompt(instructions), language), 2))
    if re.search(rf"\b{re.escape(name)}\b", text):
        return text
    return f"{language.i_am} {name}. {text}".strip()


def _prompt(instructions: Any, depth: int = 3) -> str:
    """Return the text of a prompt: that under "text", else the first string anywhere that begins like one."""
    if isinstance(instructions, str):
        return " ".join(instructions[:_MOST_PROMPT].split())
    if not isinstance(instructions, (Mapping, list, tuple)) or not depth:
        return ""
    inner = [instructions["text"]] if isinstance(instructions, Mapping) and "text" in instructions else []
    inner += instructions.values() if isinstance(instructions, Mapping) else instructions
    found = (_prompt(value, depth - 1) for value in inner[:20])
    return next((text for text in found if any(re.match(each.you_are, text) for each in languages().values())), "")


def _claims(prompt: str, language: Language) -> Iterator[str]:
    for number, sentence in enumerate(_SENTENCE.split(prompt)):
        opening = re.match(language.you_are, sentence)
        start = opening.end() if opening else 0
        if not start and not (number and language.code == "en" and sentence.startswith("You ")):
            return
        head, comma, _ = sentence.partition(",")
        claims = (sentence, f"{head}.") if comma else (sentence,)
        claim = next((claim for claim in claims if _is_public(claim, start, language)), None)
        if claim is None:
            return
        # In other languages the verbs would have to be conjugated, so only the opening is turned.
        yield first_person(claim) if language.code == "en" else f"{language.i_am} {claim[start:]}"
        if claim != sentence:
            return


def _is_public(claim: str, start: int, language: Language) -> bool:
    rest = claim[start:]
    if len(claim) > _MOST_CLAIM or not rest.strip(" .!?") or claim[-1] not in ".!?…":
        return False
    if re.search(language.still_you, rest):
        return False
    words = "|".join(word for each in languages().values() for word in each.table["introduction"]["private"])
    private = rf"[\d\"“”«»:;{{}}<>\[\]()@#*_`|\\/=]|\b(?:{words})\b"
    return not re.search(private, _HARMLESS_TO.sub("", claim), re.IGNORECASE)
