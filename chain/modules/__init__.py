"""The state machine's modules, one package a concept."""
