"""The state file: history and conversations that outlive the process, in SQLite."""
