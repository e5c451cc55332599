"""Files whose characters have the same name, of which one serves."""

from collections.abc import Mapping
from types import MappingProxyType

from charhost.character.character import Character
from charhost.character.diagnostics import explain
from charhost.character.static import line_of
from charhost.errors import DuplicateName
from charhost.loading.snapshot import Snapshot
from charhost.report import FileError
from charhost.text import display


def duplicates(
    names: Mapping[str, str], snapshot: Snapshot, holders: Mapping[str, Character] = MappingProxyType({})
) -> dict[str, FileError]:
    """Return an error for each path whose character has the name of another that serves; *names* has them by path.

    A name belongs to the path whose character in *holders* has it, else to the shortest path, then to the first.
    """
    held = {path: character.name for path, character in holders.items()}
    owners: dict[str, str] = {}
    for path in sorted(names, key=lambda path: (held.get(path) != names[path], len(path), path)):
        owners.setdefault(names[path], path)
    errors = {}
    for path, name in names.items():
        owner = owners[name]
        if owner != path:
            text = f"{name!r} is already the CHARACTER_NAME of {display(owner)}; give one of them another name: "
            text += f"{display(owner)} serves, {display(path)} does not"
            line = line_of(snapshot.files[path].text, "CHARACTER_NAME") if path in snapshot.files else None
            errors[path] = explain(DuplicateName(text, line, name), path, path)
    return errors
