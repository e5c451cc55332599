"""The character manager: swap, roll back, remember."""
