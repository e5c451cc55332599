"""The stand-in for a model, where none is connected."""

from charhost.offline.model import OfflineModel

__all__ = ["OfflineModel"]
