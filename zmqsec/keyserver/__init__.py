"""The key server (floor 11): groups, their members, and the keys that change on their own."""
