"""Merkle trees and proofs: IAVL, the simple tree over stores, ICS-23."""
