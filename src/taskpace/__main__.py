"""``python -m taskpace``."""

from taskpace.cli import main

main()
