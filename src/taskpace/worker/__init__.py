"""One process for one system: opens the engine, drives the schedule, measures, sends records."""
