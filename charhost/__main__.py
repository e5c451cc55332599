"""`python -m charhost` is the `charhost` command."""

from charhost.cli import main

main()
