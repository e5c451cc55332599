"""Everything that charhost raises on purpose.

CharhostError
├── SettingsError           what the operator configured cannot work
│   └── StateError          the state file is damaged, or is none
├── CharacterError          one character file cannot serve
│   ├── ValidationError     an attribute is missing or of the wrong type
│   └── DuplicateName       an earlier file has the same CHARACTER_NAME
├── DirectoryError          a directory cannot be read as a character set
│   ├── DirectoryNotFound
│   ├── NotADirectory
│   ├── DirectoryNotReadable
│   ├── DirectoryTooLarge
│   └── DirectoryNotAllowed (also NotAttempted)
├── PluginFailed            code of a character file failed in a conversation; carries the FileError
├── ToolRefused             a tool of the host's own was called for what it does not do
├── ModelError              a language model did not answer (charhost.llm)
├── IsolatedLoadFailed      files ended a child process, or hung in it
├── ReloadRejected          nothing was changed; carries the report
│   └── ReloadFailed        the same, and the fault is the server's
├── NotAttempted            a condition of a reload does not hold, so there was none
│   ├── RevisionMismatch
│   ├── UnknownGeneration
│   ├── HistoryUnavailable
│   └── DirectoryNotAllowed
└── Stopping                the server is shutting down

LoadTimeout                 injected into plugin code at its deadline
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from charhost.report import FileError, ReloadReport


class CharhostError(Exception):
    """The base of all that charhost raises on purpose."""


class SettingsError(CharhostError):
    """What the operator configured cannot work; the text says what to set."""


class StateError(SettingsError):
    """The state file cannot be used: it is damaged, of a newer version, in use, or something else altogether."""


class CharacterError(CharhostError):
    """One character file cannot serve; `line` is where its author has to look, if that is known."""

    def __init__(self, message: str, line: int | None = None, character: str | None = None) -> None:
        super().__init__(message)
        self.line = line
        self.character = character


class ValidationError(CharacterError):
    """An attribute that the format asks for is missing, or has the wrong type or value."""


class DuplicateName(CharacterError):
    """A file that sorts earlier has the same CHARACTER_NAME."""


class DirectoryError(CharhostError):
    """A directory cannot be read as a character set."""

    code: ClassVar[str]


class DirectoryNotFound(DirectoryError):
    """There is nothing at that path."""

    code = "directory_not_found"


class NotADirectory(DirectoryError):
    """The path names something else than a directory."""

    code = "not_a_directory"


class DirectoryNotReadable(DirectoryError):
    """The server's user may not list the directory."""

    code = "directory_not_readable"


class DirectoryTooLarge(DirectoryError):
    """The directory holds more than a snapshot may."""

    code = "directory_too_large"


class PluginFailed(CharhostError):
    """Code of a character file failed in a conversation: it raised, was too slow, or answered something useless."""

    def __init__(self, failure: FileError) -> None:
        super().__init__(str(failure))
        self.failure = failure


class ToolRefused(CharhostError):
    """A tool of the host's own was called for what it does not do."""


class IsolatedLoadFailed(CharhostError):
    """Files ended the child process in which they were loaded, or did not end in it; the server never ran them."""

    def __init__(self, errors: tuple[FileError, ...]) -> None:
        super().__init__("\n".join(map(str, errors)))
        self.errors = errors


class ReloadRejected(CharhostError):
    """A reload was refused: the current set, its generation and every session are as before."""

    def __init__(self, code: str, report: ReloadReport) -> None:
        super().__init__(report.message)
        self.code = code
        self.report = report

    def __str__(self) -> str:
        """The sentence of the report, then a line for each file that failed."""
        return "\n  ".join([self.report.message, *map(str, self.report.errors)])


class ReloadFailed(ReloadRejected):
    """A reload came to no end of its own: over its deadline, or a fault in charhost."""


class NotAttempted(CharhostError):
    """A condition of a reload does not hold: nothing was tried, so nothing is counted and there is no report."""

    code: ClassVar[str]


class RevisionMismatch(NotAttempted):
    """The set that serves is not the one that the caller expects."""

    code = "revision_mismatch"


class UnknownGeneration(NotAttempted):
    """The set of that generation is not kept, or never was."""

    code = "unknown_generation"


class HistoryUnavailable(NotAttempted):
    """The state file, which has what a rollback needs, cannot be read."""

    code = "history_unavailable"


class DirectoryNotAllowed(DirectoryError, NotAttempted):
    """The operator has named the roots to read below, and the directory is not there."""

    code = "directory_not_allowed"


class Stopping(CharhostError):
    """The server is shutting down and begins no reload any more."""


class LoadTimeout(BaseException):
    """Plugin code was not finished at its deadline; also injected into its thread, to end it.

    Not an `Exception`, so that an `except Exception` in a character file cannot swallow it. `places` are the file
    names and lines at which the thread was, innermost first.
    """

    def __init__(self, message: str = "over its deadline", places: tuple[tuple[str, int], ...] = ()) -> None:
        super().__init__(message)
        self.places = places
