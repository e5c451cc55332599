"""The rows of the table that `scripts/bench` prints, by what they measure."""
