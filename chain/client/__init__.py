"""The Python SDK: wallet, transaction, api."""
