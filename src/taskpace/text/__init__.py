"""Text that comes in and text that goes out."""
