"""The state file: history and conversations that outlive the process, in SQLite."""

from charhost.storage.state_file import StateFile

__all__ = ["StateFile"]
