"""Character sets that all nodes of a fleet serve."""
