"""The log of the server: limits of its lines, and faults that last."""
