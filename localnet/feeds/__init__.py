"""Price feeds of a localnet: recorded crash days and the process that plays them."""
