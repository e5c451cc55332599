"""From a directory to a snapshot, and from a snapshot to modules and characters."""
