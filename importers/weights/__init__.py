"""Weights of networks, one module a source."""
