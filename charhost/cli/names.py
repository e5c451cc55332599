"""Names of characters: read from files without running them, and matched with the names that a user types."""

import re
import unicodedata
from difflib import get_close_matches

from charhost.character.character import normal
from charhost.character.static import strings_of
from charhost.loading.snapshot import Snapshot

_MOST_STEM = 60
_MOST_NAMES = 10


def written_names(snapshot: Snapshot) -> dict[str, frozenset[str]]:
    """Return the names that each character file may have; none where it is computed, or the file is unreadable."""
    return {
        path: _written_in(snapshot.files[path].text) if path in snapshot.files else frozenset()
        for path in snapshot.character_paths
    }


def _written_in(source: str) -> frozenset[str]:
    try:
        return frozenset(map(normal, strings_of(source, "CHARACTER_NAME")))
    except (ValueError, SyntaxError, RecursionError):
        return frozenset()


def stem_of(name: str) -> str:
    """Make a file name from the name of a character: lower case, and ASCII where that is possible."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", name.lower()) if not unicodedata.combining(c))
    # Letters without an ASCII form, as in Chinese, stay.
    stem = re.sub(r"\W+", "_", unicodedata.normalize("NFC", plain)).strip("_")
    while len(stem.encode()) > _MOST_STEM:
        stem = stem[:-1]
    return stem or "character"


def unknown_name(name: str, known: list[str], place: str) -> str:
    """Describe that no character has this *name*, and which ones there are; case and accents do not count."""
    if not known:
        return f"there is no character {place}"
    wanted, plain = stem_of(name), {other: stem_of(other) for other in known}
    close = get_close_matches(wanted, plain.values(), cutoff=0.5)
    near = [other for other, stem in plain.items() if stem in close or wanted in stem][:_MOST_NAMES]
    others = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(sorted(known)[:_MOST_NAMES])}"
    return f"there is no {name} {place}; {others}"
