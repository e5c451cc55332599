"""The definitions of one character file, their validation, and its code."""
