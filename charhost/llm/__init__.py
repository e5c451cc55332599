"""Language models: `model.py` is the interface of `openai/` (compatible servers) and `offline/` (the stand-in)."""
