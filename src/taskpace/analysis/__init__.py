"""From records to numbers: a polars frame, then everything derived. Pure functions; nothing here formats or prints."""
