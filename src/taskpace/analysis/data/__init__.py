"""Records as frames and arrays."""
