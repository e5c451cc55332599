"""A model of two directories and the current set, with the expected result of each reload."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

DIRECTORIES = ("here", "there")

# The file, and the name its character has; the twin wants the name of another file.
NAMES = {"ada.py": "Ada", "bob.py": "Bob", "cyd.py": "Cyd", "twin.py": "Ada"}

BROKEN = {
    "syntax": "def",
    "raises": "raise ValueError('no')",
    "exits": "raise SystemExit",
    "interrupts": "raise KeyboardInterrupt",
    "stops": "raise StopIteration",
    "empty": "",
    "recursion": "def f(): return f()\nf()",
}

HELPER = "_tag.py"


@dataclass(frozen=True)
class Entry:
    """One character of the model; `content` is all that its fingerprint covers."""

    name: str
    file: str
    content: tuple[str, ...]
    prompt: str
    generation: int


@dataclass(frozen=True)
class Expected:
    """The expected result of a reload."""

    outcome: str
    code: str | None = None
    errors: tuple[str, ...] = ()
    entries: tuple[Entry, ...] = ()


@dataclass
class Model:
    """Two directories, and the current set."""

    files: dict[str, dict[str, str]] = field(default_factory=lambda: {name: {} for name in DIRECTORIES})
    directory: str = "here"
    generation: int = 0
    entries: dict[str, Entry] = field(default_factory=dict)
    past: dict[int, tuple[str, tuple[Entry, ...]]] = field(default_factory=dict)

    def load(self, directory: str, file: str) -> Entry | None:
        """Return the entry of one file of a directory, or None if the file must fail."""
        kind, _, text = self.files[directory][file].partition(" ")
        helper = self.files[directory].get(HELPER, "")
        sharing = kind == "sharing"
        if kind in BROKEN or (sharing and not helper.startswith("good ")):
            return None
        tag = helper.removeprefix("good ")
        prompt = f"{text} {tag} {tag}" if sharing else text
        content = (directory, file, kind, text, helper if sharing else "")
        return Entry(NAMES[file], file, content, prompt, self.generation + 1)

    def expect(self, fields: dict[str, Any]) -> Expected:
        """Return the expected result of a reload with these fields."""
        directory = fields["directory"] or self.directory
        if directory == "nowhere":
            return Expected("rejected", "directory_not_found")
        served = {entry.file: entry for entry in self.entries.values()} if directory == self.directory else {}
        found: list[Entry] = []
        errors: list[str] = []
        kept = set()
        for file in sorted(name for name in self.files[directory] if name != HELPER):
            entry = self.load(directory, file)
            if entry is None:
                errors.append(file)
                if fields["on_error"] != "keep" or file not in served:
                    continue
                entry = served[file]
                kept.add(file)
            elif fields["scope"] == "changed" and file in served and served[file].content == entry.content:
                entry = served[file]
            found.append(entry)
        entries: dict[str, Entry] = {}
        for entry in found:
            entries.setdefault(entry.name, entry)
        errors.extend(e.file for e in found if entries[e.name] is not e and e.file not in kept)
        return self._judge(fields, directory, tuple(sorted(errors)), entries)

    def _judge(
        self, fields: dict[str, Any], directory: str, errors: tuple[str, ...], entries: dict[str, Entry]
    ) -> Expected:
        if not entries:
            return Expected("rejected", "no_characters", errors)
        if errors and fields["on_error"] == "abort":
            return Expected("rejected", "set_rejected", errors, tuple(entries.values()))
        same = directory == self.directory and entries.keys() == self.entries.keys()
        if same and all(entry is self.entries[name] for name, entry in entries.items()):
            return Expected("unchanged", None, errors, tuple(entries.values()))
        return Expected("valid" if fields["dry_run"] else "applied", None, errors, tuple(entries.values()))

    def changes(self, expected: Expected) -> dict[str, Any]:
        """Return the difference to the current set."""
        after = {entry.name: entry for entry in expected.entries}
        if expected.outcome not in ("applied", "valid"):
            after = self.entries
        shared = [name for name in after if name in self.entries]
        modified = [name for name in shared if self.differs(self.entries[name], after)]
        return {
            "added": [name for name in after if name not in self.entries],
            "removed": [name for name in self.entries if name not in after],
            "modified": modified,
            "unchanged": len(shared) - len(modified),
        }

    def differs(self, entry: Entry, after: dict[str, Entry]) -> bool:
        """Return whether a set has no equal of *entry*; the directory is no part of a fingerprint."""
        return entry.name not in after or after[entry.name].content[1:] != entry.content[1:]

    def take(self, directory: str, expected: Expected) -> None:
        """Make the expected set the current one."""
        self.directory, self.generation = directory, self.generation + 1
        self.entries = {entry.name: entry for entry in expected.entries}
        self.past[self.generation] = directory, expected.entries

    def expect_back(self, generation: int) -> Expected:
        """Return the expected result of a rollback: the entries of that generation, each built again."""
        _, entries = self.past[generation]
        return Expected("applied", None, (), tuple(replace(e, generation=self.generation + 1) for e in entries))
