"""Habit: a part of a chat-completions request that some models' servers refuse."""

from enum import StrEnum


class Habit(StrEnum):
    """In the order in which a request is adapted: neighbours of one role are joined last."""

    NO_STREAM_OPTIONS = "no-stream-options"
    MAX_COMPLETION_TOKENS = "max-completion-tokens"
    MAX_TOKENS = "max-tokens"
    NO_TEMPERATURE = "no-temperature"
    NO_STOP = "no-stop"
    NO_PARALLEL_TOOL_CALLS = "no-parallel-tool-calls"
    NO_TOOLS = "no-tools"
    NO_ATTACHMENTS = "no-attachments"
    NO_NAME = "no-name"
    STRING_CONTENT = "string-content"
    NONEMPTY_CONTENT = "nonempty-content"
    NO_DEVELOPER_ROLE = "no-developer-role"
    NO_SYSTEM_ROLE = "no-system-role"
    ONE_SYSTEM_MESSAGE = "one-system-message"
    ALTERNATING_ROLES = "alternating-roles"
