"""The state file: what outlives the process, in SQLite."""

from charhost.state.file import StateFile

__all__ = ["StateFile"]
