"""ICS-02: clients of other chains, and the one type this chain runs, 07-tendermint."""
