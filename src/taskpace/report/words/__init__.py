"""What a report says: figures, rows and sentences as plain text."""
