"""The steps, one a file (floor 11)."""
