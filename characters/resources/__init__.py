"""Helpers that the characters share; nothing here is a character."""
