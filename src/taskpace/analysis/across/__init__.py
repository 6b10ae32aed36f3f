"""Several tasks, loads, settings or forms of a system together."""
