"""The applications that IBC channels carry."""
