"""ICS-03: connections between two clients of each other's chains."""
