"""One task in one scenario: rows, pairs, validity, findings."""
