"""Statistics: intervals, tests, resampling. Arrays in, numbers out."""
