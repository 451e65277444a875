"""Circuits in the formats of other programs, and back."""

from __future__ import annotations

from circuitgraph.export.circuits import FORMATS, dump_circuit, parse_circuit, read_circuit, write_circuit

__all__ = ["FORMATS", "dump_circuit", "parse_circuit", "read_circuit", "write_circuit"]
