"""The stand-in for a model, where none is connected."""

from charhost.llm.offline.model import OfflineModel

__all__ = ["OfflineModel"]
