"""What a system costs: prices that people write, that they look up, and that a run file keeps."""
