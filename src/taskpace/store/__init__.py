"""The run file: one SQLite database, append only."""
