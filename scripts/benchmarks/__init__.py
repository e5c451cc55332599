"""Benchmarks of charhost; they assert no times, because machines differ."""
