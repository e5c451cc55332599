"""Fleets of real processes: what they take, and what they withstand."""
