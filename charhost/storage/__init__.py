"""SQLite for the interfaces `reload.store.Store` and `resume.archive.Archive`; another database goes beside it."""
