"""The published structs: the JSON that summary, compare and judge print."""
