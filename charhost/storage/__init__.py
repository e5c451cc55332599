"""The state file: what outlives the process, in SQLite."""

from charhost.storage.state_file import StateFile

__all__ = ["StateFile"]
