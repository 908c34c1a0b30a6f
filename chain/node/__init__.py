"""Shells around the state machine: sockets, storage, servers."""
