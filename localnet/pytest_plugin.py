"""The pytest plugin for people who test chains: fixtures localnet, chain and relayer."""
