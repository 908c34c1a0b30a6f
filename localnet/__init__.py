"""The localnet: real CometBFT networks on loopback for people who build and test chains."""
