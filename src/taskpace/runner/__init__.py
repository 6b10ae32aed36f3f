"""Carrying a plan out: jobs, workers, events, records into the store."""
