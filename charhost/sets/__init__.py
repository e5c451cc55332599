"""The character sets of a server: each with its manager, its history and its watcher."""
