"""A transcript in the formats of OpenAI's audio API."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from charhost.web.audio.upload import TextFormat


class Cue(NamedTuple):
    """The words of a part of a file, from *start* to *end* seconds."""

    start: float
    end: float
    text: str


def text_of(cues: Sequence[Cue]) -> str:
    return " ".join(cue.text for cue in cues if cue.text)


def usage(seconds: float) -> dict[str, Any]:
    return {"type": "duration", "seconds": round(seconds, 3)}


def document(cues: Sequence[Cue], seconds: float, language: str | None, *, verbose: bool) -> dict[str, Any]:
    """Return the fields of `json` and `verbose_json`."""
    fields: dict[str, Any] = {"text": text_of(cues), "usage": usage(seconds)}
    if not verbose:
        return fields
    segments = [_segment(number, cue) for number, cue in enumerate(cues)]
    return {"task": "transcribe", "language": language or "", "duration": seconds, **fields, "segments": segments}


def subtitles(cues: Sequence[Cue], kind: TextFormat) -> str:
    """Return the cues as `srt` or `vtt`."""
    comma, head = (",", "") if kind == "srt" else (".", "WEBVTT\n\n")
    return head + "".join(
        (f"{number}\n" if kind == "srt" else "")
        + f"{_time(cue.start, comma)} --> {_time(cue.end, comma)}\n{cue.text}\n\n"
        for number, cue in enumerate((cue for cue in cues if cue.text), 1)
    )


def _segment(number: int, cue: Cue) -> dict[str, Any]:
    # The engines do not report these.
    unknown = {"seek": 0, "tokens": [], "temperature": 0.0, "avg_logprob": 0.0, "compression_ratio": 1.0}
    return {"id": number, "start": cue.start, "end": cue.end, "text": cue.text, **unknown, "no_speech_prob": 0.0}


def _time(seconds: float, comma: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{comma}{rest % 1000:03}"
