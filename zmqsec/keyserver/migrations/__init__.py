"""How a realm's database came to be as it is (floor 11)."""
