"""The marginchaind command line."""
