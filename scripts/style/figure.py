"""A figure: one measured number, its bound, and what exceeds it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Offender:
    """A place in the checkout that a figure counts."""

    path: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


@dataclass(frozen=True)
class Figure:
    """A number with its unit; *most* is the highest value allowed, *below* the first one that is not."""

    name: str
    value: float
    unit: str = ""
    note: str = ""
    most: float | None = None
    below: float | None = None
    offenders: tuple[Offender, ...] = ()

    @property
    def is_kept(self) -> bool:
        """Whether the value keeps its bound; true without one."""
        too_high = self.most is not None and self.value > self.most
        return not too_high and (self.below is None or self.value < self.below)

    @property
    def bound(self) -> str:
        """The bound in words; empty without one."""
        if self.most is not None:
            return f"at most {self.most:g}"
        return f"under {self.below:g}" if self.below is not None else ""
