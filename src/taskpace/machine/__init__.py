"""The machine that a run is made on: host, energy counters, clock."""
