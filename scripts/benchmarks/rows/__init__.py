"""The rows of the table that `scripts/bench` prints: reloads, sessions, starts, relays, and how they grow."""
