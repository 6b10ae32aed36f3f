"""taskpace measures how long a language model takes to finish a real task, correctly."""

__version__ = "0.1.0"
