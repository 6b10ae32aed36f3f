"""For files that other programs or people read."""
