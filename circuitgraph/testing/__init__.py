"""Helpers for tests of circuitgraph and of its plug-ins."""

from __future__ import annotations

from circuitgraph.testing.bundles import write_synthetic_bundle

__all__ = ["write_synthetic_bundle"]
