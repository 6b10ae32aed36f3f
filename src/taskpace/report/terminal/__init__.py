"""For a terminal of 80 columns and more."""
