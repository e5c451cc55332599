"""The characters that charhost serves when it is not told of another directory."""
