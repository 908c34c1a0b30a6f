"""The IBC core handlers and the applications over them."""
