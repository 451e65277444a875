"""Bundles: a network's expanded weights on disk, dense, hashed and memory-mapped."""

from __future__ import annotations

from circuitgraph.bundle.direction_writing import add_directions, remove_directions
from circuitgraph.bundle.read import Block, Bundle
from circuitgraph.bundle.write import BundleWriter

__all__ = ["Block", "Bundle", "BundleWriter", "add_directions", "remove_directions"]
