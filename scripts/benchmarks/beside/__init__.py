"""The programs that charhost is measured beside, and the least that any can take."""
