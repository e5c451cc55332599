"""Measures of a checkout's style, by its syntax trees; needs nothing but Python 3.11."""
