"""Threads that run the code of character files, under deadlines."""
