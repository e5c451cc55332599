"""The stand-in for a language model."""

from charhost.llm.offline.model import OfflineModel

__all__ = ["OfflineModel"]
