"""The story a local network plays: one margin account over three chains, a crash, a liquidation."""
