"""One measured number and its bound."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A number with its unit; *most* is the highest value allowed, *below* the first that is not.

    Each offender is a place that exceeds the bound, as `path:line: reason`.
    """

    name: str
    value: float
    unit: str = ""
    most: float | None = None
    below: float | None = None
    offenders: Sequence[str] = ()

    @property
    def is_kept(self) -> bool:
        too_high = self.most is not None and self.value > self.most
        return not too_high and (self.below is None or self.value < self.below)

    def __str__(self) -> str:
        bound = f"at most {self.most:g}" if self.most is not None else f"under {self.below:g}" if self.below else ""
        value = f"{self.value:,.1f}".removesuffix(".0")
        return f"{self.name:42}{value:>8} {self.unit:10}{bound:12}{'' if self.is_kept else '  MISSED'}".rstrip()
