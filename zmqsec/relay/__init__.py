"""The relay (floor 11): its configuration, its service, and what it knows of its peers."""
