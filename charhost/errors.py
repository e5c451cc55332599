"""The exceptions of charhost, and the codes of refused reloads.

CharhostError
├── SettingsError           the configuration cannot work
│   └── StateError          the state file cannot be used
├── CharacterError          one character file cannot be loaded
│   ├── ValidationError     an attribute is missing or of the wrong type
│   └── DuplicateName       another file has the same CHARACTER_NAME
├── DirectoryError          a directory cannot be read as a character set
│   ├── DirectoryNotFound
│   ├── NotADirectory
│   ├── DirectoryNotReadable
│   ├── DirectoryTooLarge
│   └── DirectoryNotAllowed (also NotAttempted)
├── PluginFailed            code of a character file raised, was too slow or returned nonsense in a conversation
├── ToolRefused             a host tool was called with an unknown name or unsupported arguments
├── ModelError              a language model failed (charhost.llm)
├── SpeechError             an engine that speaks or hears failed (charhost.speech)
├── TakenOver               a session goes on at another node of the fleet
├── SessionUnavailable      a session cannot be resumed now: where it is saved cannot be reached
├── EngineError             the store of a fleet failed; its kinds are in charhost.fleet.engine.engine
├── IsolatedLoadFailed      files crashed or hung in the isolated check; the server itself did not run them
├── Withheld                a fleet does not let a set serve; carries a `ReloadCode`
└── ReloadRefused           a reload was refused and changed nothing; carries a `ReloadCode`
    ├── InvalidRequest      the request cannot be read
    ├── ReloadRejected      the characters cannot be replaced; carries the report
    │   └── ReloadFailed    the same, by a fault of the server
    ├── NotAttempted        a condition of the reload does not hold
    │   ├── RevisionMismatch
    │   ├── UnknownGeneration
    │   ├── HistoryUnavailable
    │   ├── SetNotFound
    │   ├── RolloutInProgress
    │   ├── FleetUnreachable
    │   ├── UploadNotFound
    │   ├── UploadsNotAllowed
    │   ├── RolloutEnded    a node was building the proposal of another one, which will not serve
    │   └── DirectoryNotAllowed
    └── Stopping            the server is shutting down

LoadTimeout                 injected into plugin code at its deadline
└── ThreadsExhausted        plugin code was not run: too many threads are stuck, or none can be started
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import TYPE_CHECKING

from charhost.text import quoted

if TYPE_CHECKING:
    from charhost.report import FileError, ReloadReport


class ReloadCode(StrEnum):
    """Why a reload or a rollback is refused: each code with its HTTP status and its meaning."""

    status: int
    meaning: str

    def __new__(cls, code: str, status: int, meaning: str) -> ReloadCode:
        member = str.__new__(cls, code)
        member._value_ = code
        member.status = status
        member.meaning = meaning
        return member

    SET_REJECTED = "set_rejected", 422, "A file failed, and the request has `on_error` `abort`."
    NO_CHARACTERS = "no_characters", 422, "No character could be loaded, or the directory is empty."
    DIRECTORY_TOO_LARGE = "directory_too_large", 422, "The directory has more files or bytes than the limits."
    ISOLATED_LOAD_FAILED = "isolated_load_failed", 422, "A file crashed or hung in the isolated check."
    DIRECTORY_NOT_FOUND = "directory_not_found", 404, "The directory does not exist."
    NOT_A_DIRECTORY = "not_a_directory", 400, "The path is not a directory."
    DIRECTORY_NOT_READABLE = (
        "directory_not_readable",
        403,
        "The directory cannot be read: the server may not, or the system cannot now.",
    )
    DIRECTORY_NOT_ALLOWED = (
        "directory_not_allowed",
        403,
        "The directory is not below an allowed root, whether or not it exists.",
    )
    SET_NOT_FOUND = "set_not_found", 404, "There is no character set of that name, or no uploaded one of that digest."
    INVALID_REQUEST = "invalid_request", 400, "The body is not JSON, or a field is unknown or has a wrong value."
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type", 415, "The body is not declared as `application/json`."
    REQUEST_TOO_LARGE = "request_too_large", 413, "The body is larger than 64 KiB."
    REQUEST_TIMEOUT = "request_timeout", 408, "The body did not arrive within 10 s."
    INVALID_KEY = "invalid_key", 401, "The key is missing or wrong."
    FORBIDDEN = "forbidden", 403, "No admin key is configured, and the caller is not local."
    UPLOADS_NOT_ALLOWED = "uploads_not_allowed", 403, "The server was started without `--fleet-upload`."
    REVISION_MISMATCH = "revision_mismatch", 412, "`If-Match` names another set than the current one."
    UNKNOWN_GENERATION = "unknown_generation", 409, "The generation of the rollback is not kept."
    HISTORY_UNAVAILABLE = "history_unavailable", 503, "The state file, which a rollback needs, cannot be read."
    FLEET_REFUSED = "fleet_refused", 422, "A node of the fleet cannot build the set, or is silent."
    ROLLOUT_IN_PROGRESS = "rollout_in_progress", 409, "Another rollout of the fleet is under way."
    FLEET_UNREACHABLE = "fleet_unreachable", 503, "The engine of the fleet cannot be reached."
    ROLLOUT_UNKNOWN = "rollout_unknown", 504, "Whether the fleet has taken the set is not known yet."
    STOPPING = "stopping", 503, "The server is stopping; `Retry-After` gives the seconds to wait."
    LOAD_TIMEOUT = "load_timeout", 504, "The load took longer than its deadline."
    INTERNAL_ERROR = "internal_error", 500, "An unexpected error in the server."

    @property
    def is_server_fault(self) -> bool:
        return self.status >= 500


class CharhostError(Exception):
    """The base of every exception that charhost raises on purpose."""


class SettingsError(CharhostError):
    """The configuration cannot work; the text names the setting to change."""


class StateError(SettingsError):
    """The state file is damaged, of a newer version, in use, or not a state file."""


class CharacterError(CharhostError):
    """One character file cannot be loaded; `line` is the line to mend, if it is known."""

    def __init__(self, message: str, line: int | None = None, character: str | None = None) -> None:
        super().__init__(message)
        self.line = line
        self.character = character


class ValidationError(CharacterError):
    """A required attribute is missing, or has the wrong type or value."""


class DuplicateName(CharacterError):
    """Another file, which takes precedence, has the same CHARACTER_NAME."""


class DirectoryError(CharhostError):
    code: ReloadCode


class DirectoryNotFound(DirectoryError):
    code = ReloadCode.DIRECTORY_NOT_FOUND


class NotADirectory(DirectoryError):
    code = ReloadCode.NOT_A_DIRECTORY


class DirectoryNotReadable(DirectoryError):
    code = ReloadCode.DIRECTORY_NOT_READABLE


class DirectoryTooLarge(DirectoryError):
    code = ReloadCode.DIRECTORY_TOO_LARGE


class PluginFailed(CharhostError):
    def __init__(self, failure: FileError) -> None:
        super().__init__(str(failure))
        self.failure = failure


class ToolRefused(CharhostError):
    """A host tool was called with an unknown name or unsupported arguments."""


class TakenOver(CharhostError):
    """A session goes on at another node of the fleet: nothing of this one counts any more."""


class SessionUnavailable(CharhostError):
    """A session cannot be resumed now, but perhaps later or elsewhere."""


class EngineError(CharhostError):
    """A request to the engine of the fleet failed."""


class IsolatedLoadFailed(CharhostError):
    def __init__(self, errors: tuple[FileError, ...]) -> None:
        super().__init__("\n".join(map(str, errors)))
        self.errors = errors


class Withheld(CharhostError):
    """A fleet does not let a set serve."""

    def __init__(self, code: ReloadCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class ReloadRefused(CharhostError):
    """A reload was refused: the current set, its generation and every session are unchanged."""

    code: ReloadCode
    report: ReloadReport | None = None

    @property
    def detail(self) -> str:
        """The reason, in one sentence."""
        return str(self.args[0])


class InvalidRequest(ReloadRefused):
    code = ReloadCode.INVALID_REQUEST


class ReloadRejected(ReloadRefused):
    report: ReloadReport

    def __init__(self, code: ReloadCode, report: ReloadReport) -> None:
        super().__init__(report.message)
        self.code = code
        self.report = report

    def __str__(self) -> str:
        return "\n  ".join([self.report.message, *map(str, self.report.errors)])


class ReloadFailed(ReloadRejected):
    """A reload exceeded its deadline, or met a fault in charhost."""


class NotAttempted(ReloadRefused):
    """A condition of a reload does not hold: it is neither counted nor reported."""


class RevisionMismatch(NotAttempted):
    code = ReloadCode.REVISION_MISMATCH


class UnknownGeneration(NotAttempted):
    code = ReloadCode.UNKNOWN_GENERATION


class HistoryUnavailable(NotAttempted):
    code = ReloadCode.HISTORY_UNAVAILABLE


class SetNotFound(NotAttempted):
    code = ReloadCode.SET_NOT_FOUND

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no character set called {quoted(name)}.")


class RolloutInProgress(NotAttempted):
    """Another rollout of the fleet is under way; *ended* waits until it has ended here."""

    code = ReloadCode.ROLLOUT_IN_PROGRESS

    def __init__(self, message: str, ended: Callable[[], Awaitable[None]]) -> None:
        super().__init__(message)
        self.ended = ended


class FleetUnreachable(NotAttempted):
    code = ReloadCode.FLEET_UNREACHABLE

    def __init__(self, error: Exception) -> None:
        super().__init__(f"The engine of the fleet cannot be reached ({error}).")


class UploadNotFound(NotAttempted):
    code = ReloadCode.SET_NOT_FOUND


class UploadsNotAllowed(NotAttempted):
    code = ReloadCode.UPLOADS_NOT_ALLOWED


class RolloutEnded(NotAttempted):
    code = ReloadCode.FLEET_REFUSED


class DirectoryNotAllowed(DirectoryError, NotAttempted):
    code = ReloadCode.DIRECTORY_NOT_ALLOWED


class Stopping(ReloadRefused):
    code = ReloadCode.STOPPING


class LoadTimeout(BaseException):
    """Plugin code exceeded its deadline; also injected into its thread, to end it.

    Not an `Exception`, so that an `except Exception` in a character file cannot swallow it. `places` are the file
    names and lines of the thread's stack, innermost first.
    """

    def __init__(self, message: str = "over its deadline", places: tuple[tuple[str, int], ...] = ()) -> None:
        super().__init__(message)
        self.places = places


class ThreadsExhausted(LoadTimeout):
    """Code was not run, because too many threads are stuck, at *places*, or none can be started."""
