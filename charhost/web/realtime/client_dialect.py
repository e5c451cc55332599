"""Finds the dialect of a client of /v1/realtime."""

from typing import Any, get_args

from aiohttp import hdrs, web

from charhost.web.protocol.client_events import CHARACTER_KINDS, Dialect
from charhost.web.security.authority import KEY_PROTOCOL, offers

_FLAT = frozenset({"modalities", "input_audio_format"})
_OGG = "T2dnUw"  # "OggS" in base64: the first bytes of each page


def dialect_of(request: web.Request) -> Dialect | None:
    """Return the dialect that the handshake shows, None if only the first event can."""
    offered = offers(request)
    if "realtime=v1" in request.headers.get("OpenAI-Beta", "") or "openai-beta.realtime-v1" in offered:
        return "beta"
    if (named := known_dialect(request.query.get("dialect"))) is not None:
        return named
    has_key = hdrs.AUTHORIZATION in request.headers or any(offer.startswith(KEY_PROTOCOL) for offer in offered)
    return "ga" if has_key or "model" in request.query else None


def known_dialect(name: str | None) -> Dialect | None:
    return next((dialect for dialect in get_args(Dialect) if dialect == name), None)


def dialect_by(event: dict[str, Any]) -> Dialect:
    """Return the dialect that the first event shows."""
    match event:
        case {"type": "session.update", "session": {**session}}:
            has_unmute_fields = "allow_recording" in session or isinstance(session.get("instructions"), dict)
            if has_unmute_fields and "type" not in session:
                return "unmute"
            return "beta" if _FLAT & session.keys() else "ga"
        case {"type": kind} if kind in CHARACTER_KINDS:
            return "unmute"
        case {"type": "input_audio_buffer.append", "audio": str(audio)} if audio.startswith(_OGG):
            return "unmute"
        case {"type": "input_audio_buffer.append"}:
            return "beta"
    return "ga"
