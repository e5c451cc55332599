"""Reflection: what is said to "you", said again as "I", and the other way round."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

_WORD = re.compile(r"\w+(?:['’]\w+)*|\W+")

_TO_YOU = {
    "i": "you",
    "me": "you",
    "my": "your",
    "mine": "yours",
    "myself": "yourself",
    "am": "are",
    "i'm": "you're",
    "i've": "you've",
    "i'd": "you'd",
    "i'll": "you'll",
    "we": "you",
    "us": "you",
    "our": "your",
    "ours": "yours",
    "ourselves": "yourselves",
    "we're": "you're",
    "we've": "you've",
    "we'd": "you'd",
    "we'll": "you'll",
}
_TO_ME = {
    "your": "my",
    "yours": "mine",
    "yourself": "myself",
    "yourselves": "ourselves",
    "you're": "I'm",
    "you've": "I've",
    "you'd": "I'd",
    "you'll": "I'll",
}
_WITH_I = {"was": "were", "wasn't": "weren't"}
_WITH_YOU = {"are": "am", "were": "was", "aren't": "am not", "weren't": "wasn't"}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What "you" needs beside it to be the one who acts, and what makes it the one acted upon.
_AUXILIARIES = _words(
    "are were do did have had can could will would shall should may might must don't didn't aren't weren't haven't "
    "hadn't can't couldn't won't wouldn't shouldn't"
)
_ADVERBS = _words("never always often really still only just not also almost")
_CONJUNCTIONS = _words("if because that when why how what where while although though whether who think hope")
_PREPOSITIONS = _words(
    "to for with about of at by from on in without between near behind beside against around over under toward towards "
    "into upon through"
)
_ACTS_UPON = _words(
    "love like hate told tell see saw seen help helped helping miss missed trust ask asked give gave show showed need "
    "want thank call called meet met let make made hear heard hurt bother teach taught follow hug kiss bring brought "
    "send sent invite forgive remind reminds understand understood loves likes hates missing seeing asking telling "
    "tells knows know knew"
)
_AFTER_OBJECT = _words(
    "and or but because so very too much again now today tomorrow yesterday anymore here there then to for with about "
    "of at by from on in when if while before after as than the a an my your this that everything something nothing "
    "anything more most already instead anyway"
)


def swap(text: str) -> str:
    """Say an English phrase from the other side: "I lost my keys" becomes "you lost your keys"."""
    return _turn(text, {**_TO_YOU, **_TO_ME})


def first_person(text: str) -> str:
    """Turn what an English text says of "you" into what "I" say; its "me" and "my" stay as they are."""
    return _turn(text, _TO_ME)


def introduction(name: str, instructions: Mapping[Any, Any], language: str) -> str:
    """Introduce a character in its own words, in one or two sentences and in the first person.

    Clients are never shown a prompt, so only a claim at its very start counts, such as "You are Ada." What might be
    an order, a rule or a secret, by its words or its signs, is left out, with all that follows; the name remains.
    """
    text = " ".join(islice(_claims(_prompt(instructions), language), 2))
    if re.search(rf"\b{re.escape(name)}\b", text):
        return text
    return f"{_I_AM.get(language, _I_AM['en'])} {name}. {text}".strip()


def _turn(text: str, words: Mapping[str, str]) -> str:
    tokens = _WORD.findall(text)
    lower = [token.replace("’", "'").lower() for token in tokens]
    turned = "".join(_turned(tokens, lower, at, words) for at in range(len(tokens)))
    return turned[:1].upper() + turned[1:] if text[:1].isupper() and lower[0] in ("my", "your") else turned


def _turned(tokens: list[str], lower: list[str], at: int, words: Mapping[str, str]) -> str:
    word, near = lower[at], _neighbours(lower, at)
    if word == "you":
        return "I" if _acts(*near) else "me"
    if word in _WITH_YOU and "you" in near:
        return _WITH_YOU[word]
    if word in _WITH_I and "i" in near and "i" in words:
        return _WITH_I[word]
    return words.get(word, tokens[at])


def _neighbours(lower: list[str], at: int) -> tuple[str, str]:
    """The words before and after, past a "never" or an "always"; each is "" where the sentence begins or ends there."""
    return _beside(lower, at, -2), _beside(lower, at, 2)


def _beside(lower: list[str], at: int, step: int) -> str:
    at += step
    while 0 <= at < len(lower) and lower[at - step // 2].isspace():
        if lower[at] not in _ADVERBS:
            return lower[at]
        at += step
    return ""


def _acts(before: str, after: str) -> bool:
    """Whether "you" between these words is the subject."""
    if after in _AUXILIARIES or before in _AUXILIARIES | _CONJUNCTIONS or not before:
        return True
    if before in _PREPOSITIONS | _ACTS_UPON:
        return False
    return bool(after) and after not in _AFTER_OBJECT


# A prompt's claims

_I_AM = {"en": "I am", "fr": "Je suis", "de": "Ich bin", "es": "Soy"}
_YOU_ARE = {
    "en": re.compile(r"(?:You are|You're)\s"),
    "fr": re.compile(r"(?:Tu es|Vous êtes)\s"),
    "de": re.compile(r"(?:Du bist|Sie sind)\s"),
    "es": re.compile(r"(?:Tú eres|Eres|Usted es)\s"),
}
_STILL_YOU = {
    "fr": re.compile(r"\b(?:tu|te|toi|ton|ta|tes|vous|votre|vos)\b|\bt['’]", re.IGNORECASE),
    "de": re.compile(r"\b(?:du|dich|dir|dein\w*|Sie|Ihnen|Ihr\w*)\b"),
    "es": re.compile(r"\b(?:tú|te|ti|tus?|usted|eres|tienes|has|sus?)\b", re.IGNORECASE),
}
_ORDER_OR_SECRET = re.compile(
    r"[\d\"“”«»:;{}<>\[\]()@#*_`|\\/=]|"
    r"\b(?:not|never|must|should|shall|will|always|only|don't|cannot|can't|if|when|secret\w*|hidden|pass\w*|code\w*|"
    r"keys?|token\w*|reveal\w*|confidential\w*|private\w*|internal\w*|instruct\w*|prompt\w*|system|rules?|users?|refus\w*|"
    r"pretend\w*|respond\w*|answers?|reply|replies|ignore\w*|allowed|required|expected|supposed|told|given|asked|"
    r"forbidden|playing|to|jamais|dois|devez|secrète?s?|clés?|mot de|règles?|si|quand|nie|niemals|musst|geheim\w*|"
    r"schlüssel|regeln?|wenn|nunca|debes?|secret[oa]s?|claves?|contraseña|reglas?|cuando)\b",
    re.IGNORECASE,
)
# "to" reads as an order only after "are": "You are to obey". Elsewhere it is harmless: "easy to talk to".
_HARMLESS_TO = re.compile(r"(?<!\bare )(?<!\bYou're )\bto\b", re.IGNORECASE)
_SENTENCE = re.compile(r"(?<!\bDr\.)(?<!\bMr\.)(?<!\bMs\.)(?<!\bMrs\.)(?<!\bSt\.)(?<!\bProf\.)(?<=[.!?…])\s")
_MOST_PROMPT = 1000
_MOST_CLAIM = 170


def _prompt(instructions: Any, depth: int = 3) -> str:
    """Find the text of a prompt: under "text", else the first string anywhere that begins like one."""
    if isinstance(instructions, str):
        return " ".join(instructions[:_MOST_PROMPT].split())
    if not isinstance(instructions, (Mapping, list, tuple)) or not depth:
        return ""
    inner = [instructions["text"]] if isinstance(instructions, Mapping) and "text" in instructions else []
    inner += instructions.values() if isinstance(instructions, Mapping) else instructions
    found = (_prompt(value, depth - 1) for value in inner[:20])
    return next((text for text in found if any(start.match(text) for start in _YOU_ARE.values())), "")


def _claims(prompt: str, language: str) -> Iterator[str]:
    """Yield the sentences at the start of *prompt* that say who "you" are, as "I" say them, up to the first other."""
    for number, sentence in enumerate(_SENTENCE.split(prompt)):
        opening = _YOU_ARE.get(language, _YOU_ARE["en"]).match(sentence)
        if not opening and not (number and language == "en" and sentence.startswith("You ")):
            return
        claim = next((text for text in _shorter(sentence) if _is_public(text, language, opening)), None)
        if claim is None:
            return
        yield first_person(claim) if language == "en" else f"{_I_AM[language]} {claim[opening.end() :]}"  # type: ignore[union-attr]
        if claim != sentence:
            return


def _shorter(sentence: str) -> Iterator[str]:
    """Yield the sentence, then what stands before its first comma."""
    yield sentence
    head, comma, _ = sentence.partition(",")
    if comma:
        yield f"{head}."


def _is_public(claim: str, language: str, opening: re.Match[str] | None) -> bool:
    rest = claim[opening.end() :] if opening else claim
    if len(claim) > _MOST_CLAIM or not rest.strip(" .!?") or claim[-1] not in ".!?…":
        return False
    if language in _STILL_YOU and _STILL_YOU[language].search(rest):
        return False
    return not _ORDER_OR_SECRET.search(_HARMLESS_TO.sub("", claim))
