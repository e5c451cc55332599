"""Loading in a child process that may crash."""
