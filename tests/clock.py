"""A clock that a test moves."""


class Clock:
    """Stands still at `now` until the test sets it."""

    now = 0.0

    def __call__(self) -> float:
        return self.now
