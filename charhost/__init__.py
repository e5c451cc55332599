"""charhost hosts LLM characters written as Python files, and reloads them while people talk to them."""

__version__ = "0.1.0"
