"""The refusals of the audio endpoints."""

from charhost.speech.failure import SpeechError
from charhost.web.http.problems import Problem

_STATUS = {"busy": 429, "timeout": 504, "unreachable": 503, "refused": 502, "malformed": 502}

AUDIO_ERRORS = {
    404: "The server has no engine for this (`--tts`, `--stt`).",
    429: "The engine has too much to do.",
    502: "The engine failed.",
    503: "The engine cannot be reached.",
    504: "The engine did not respond in time.",
}


def problem_of(error: SpeechError, code: str) -> Problem:
    return Problem(_STATUS[error.error_type], code, str(error))


def no_engine(option: str) -> Problem:
    why = f"This server has no engine for audio: start it with {option} or --voice"
    return Problem(404, "not_found", f"{why}, or converse in text over /v1/chat/completions or /v1/realtime.")
