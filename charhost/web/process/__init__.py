"""The process of a server: its event loop, signals, watchdog and logs."""
