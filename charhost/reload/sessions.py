"""The open sessions, as a reload sees them."""

from __future__ import annotations

from typing import Protocol

from charhost.reload.swap import Swap
from charhost.report import SessionImpact


class OpenSessions(Protocol):
    """The sessions that a swap may affect."""

    def impact(self, swap: Swap) -> SessionImpact:
        """Return the effect that *swap* has, or would have."""

    def follow(self, swap: Swap) -> None:
        """Start to apply *swap*; must not wait for any session."""


class NoSessions:
    """The sessions of a manager without a server."""

    def impact(self, swap: Swap) -> SessionImpact:
        """Return the effect on no session."""
        return SessionImpact(policy=swap.policy)

    def follow(self, swap: Swap) -> None:
        """Do nothing."""
