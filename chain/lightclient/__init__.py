"""The light client: pure predicates, one verifier that orders them."""
