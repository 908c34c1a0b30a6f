"""The register of governed parameters."""
