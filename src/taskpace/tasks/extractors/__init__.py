"""How an answer is read from a text."""
