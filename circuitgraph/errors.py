"""Every exception that circuitgraph raises on purpose.

All of them are `CircuitGraphError` **and** the fitting builtin, so that a caller
can catch ours or Python's:

::

    CircuitGraphError
      IdError (ValueError)                   a uid that does not follow the grammar
      UnknownNetworkError (LookupError)      no such network, layer, unit or pair of layers
      UnknownLayerError (LookupError)
      UnknownUnitError (LookupError)
      UnknownPairError (LookupError)
      UnknownFeatureError (LookupError)      no such feature or claim in the catalogue
      UnknownClaimError (LookupError)
      UnknownCircuitError (LookupError)
      UnknownReleaseError (LookupError)
      UnknownMatchError (LookupError)        no such match of a motif among results
      ArchitectureError (LookupError)        an architecture that cannot be found or built
      ShapeError (ValueError)                two shapes that do not fit
      NonFiniteError (ValueError)            NaN or infinity in weights
      WeightsError (ValueError)              a file that holds no usable weights
        UnsafeFileError                      a file that would run code when read
      MappingError (ValueError)              a mapping of names that does not fit
      TraceError (ValueError)                a module that cannot be traced
      UnsupportedOperationError (NotImplementedError)  a step that is not linear, or not known
      BlockTooLargeError (MemoryError)       a block of kernels above the budget
      MissingFileError (FileNotFoundError)
      DiskFullError (OSError)
      BundleError (ValueError)
        BundleExistsError (FileExistsError)
        BundleCorruptError (OSError)
      GraphError (ValueError)                a circuit that contradicts itself, or holds nothing to draw
      PictureError (ValueError)              a picture that cannot be drawn or written as asked
      CatalogueError (ValueError)            a catalogue that cannot be read or changed as asked
        ClaimError                           a claim that says nothing, or is not what its id says
      AnnotationError (ValueError)           a file of annotations that cannot be read
      MotifError (ValueError)                a motif search that cannot be done as asked
        PatternError                         a pattern or condition that cannot be read
      MissingExtraError (ImportError)        an optional dependency is not installed
      SettingsError (ValueError)
      ProvisionError (OSError)               Java or a jar could not be had
      ServerError (RuntimeError)             the managed server did not do as told
        PortTakenError
      StoreUnavailableError (ConnectionError)
      StoreAuthError (PermissionError)
      NetworkConflictError (ValueError)      other weights under the same network id
      LoadError (RuntimeError)               what was loaded is not what the bundle holds
      QueryError (ValueError)                Cypher that the server does not accept
        QueryRefusedError (PermissionError)  Cypher that would do more than read
        QueryLimitError (TimeoutError)       Cypher that took too long or too much memory

A message has two parts: the act, the place and the fact, then (`hint`) what to do next.
"""

from __future__ import annotations

__all__ = [
    "AnnotationError",
    "ArchitectureError",
    "BlockTooLargeError",
    "BundleCorruptError",
    "BundleError",
    "BundleExistsError",
    "CatalogueError",
    "CircuitGraphError",
    "ClaimError",
    "DiskFullError",
    "GraphError",
    "IdError",
    "LoadError",
    "MappingError",
    "MissingExtraError",
    "MissingFileError",
    "MotifError",
    "NetworkConflictError",
    "NonFiniteError",
    "PatternError",
    "PictureError",
    "PortTakenError",
    "ProvisionError",
    "QueryError",
    "QueryLimitError",
    "QueryRefusedError",
    "ServerError",
    "SettingsError",
    "ShapeError",
    "StoreAuthError",
    "StoreUnavailableError",
    "TraceError",
    "UnknownCircuitError",
    "UnknownClaimError",
    "UnknownFeatureError",
    "UnknownLayerError",
    "UnknownMatchError",
    "UnknownNetworkError",
    "UnknownPairError",
    "UnknownReleaseError",
    "UnknownUnitError",
    "UnsafeFileError",
    "UnsupportedOperationError",
    "WeightsError",
]


class CircuitGraphError(Exception):
    """Anything that circuitgraph refuses, with what to do about it.

    Parameters
    ----------
    message
        The act, the place (file, row, layer, unit) and the fact, with both numbers.
    hint
        The next step, as something to type. Shown on a line of its own.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class IdError(CircuitGraphError, ValueError):
    """A uid that does not follow the grammar of `circuitgraph.ids`."""


class UnknownNetworkError(CircuitGraphError, LookupError):
    """A network that is not in the bundle or store."""


class UnknownLayerError(CircuitGraphError, LookupError):
    """A layer that is not in the network."""


class UnknownUnitError(CircuitGraphError, LookupError):
    """A unit that is not in its layer."""


class UnknownPairError(CircuitGraphError, LookupError):
    """Two layers between which there are no weights."""


class UnknownFeatureError(CircuitGraphError, LookupError):
    """A feature that is not in the vocabulary."""


class UnknownClaimError(CircuitGraphError, LookupError):
    """A claim that is not in the catalogue."""


class UnknownCircuitError(CircuitGraphError, LookupError):
    """A circuit that is not in the catalogue."""


class UnknownReleaseError(CircuitGraphError, LookupError):
    """A release that is not in the catalogue."""


class UnknownMatchError(CircuitGraphError, LookupError):
    """A match of a motif, or the result of a search, that is not kept."""


class ArchitectureError(CircuitGraphError, LookupError):
    """An architecture that cannot be found or built."""


class ShapeError(CircuitGraphError, ValueError):
    """Two shapes that do not fit."""


class NonFiniteError(CircuitGraphError, ValueError):
    """NaN or infinity where a number is needed; the message says where."""


class WeightsError(CircuitGraphError, ValueError):
    """A file that holds no usable weights."""


class UnsafeFileError(WeightsError):
    """A file that would run code when read; it was not run."""


class MappingError(CircuitGraphError, ValueError):
    """A mapping of names that does not fit the file or the architecture."""


class TraceError(CircuitGraphError, ValueError):
    """A module that cannot be traced to a graph of operations."""


class UnsupportedOperationError(CircuitGraphError, NotImplementedError):
    """A step that is not linear, or whose linear form is not known here."""


class BlockTooLargeError(CircuitGraphError, MemoryError):
    """A block of kernels that would take more than the budget."""


class MissingFileError(CircuitGraphError, FileNotFoundError):
    """A file or folder that is not there."""


class DiskFullError(CircuitGraphError, OSError):
    """No room on the target; what was begun has been taken away."""


class BundleError(CircuitGraphError, ValueError):
    """A bundle that cannot be made or read as asked."""


class BundleExistsError(BundleError, FileExistsError):
    """A bundle is already at that path."""


class BundleCorruptError(BundleError, OSError):
    """A bundle whose files are not what its manifest says."""


class GraphError(CircuitGraphError, ValueError):
    """A circuit that contradicts itself, or that holds nothing to draw."""


class PictureError(CircuitGraphError, ValueError):
    """A picture that cannot be drawn or written as asked."""


class CatalogueError(CircuitGraphError, ValueError):
    """A catalogue that cannot be read or changed as asked."""


class ClaimError(CatalogueError):
    """A claim that says nothing, or is not what its id says."""


class AnnotationError(CircuitGraphError, ValueError):
    """A file of annotations that cannot be read; nothing of it was taken."""


class MotifError(CircuitGraphError, ValueError):
    """A motif search that cannot be done as asked."""


class PatternError(MotifError):
    """A pattern, or a condition on it, that cannot be read; the message says where."""


class MissingExtraError(CircuitGraphError, ImportError):
    """An optional dependency is not installed; the message names the extra."""


class SettingsError(CircuitGraphError, ValueError):
    """A setting with a value that cannot be used."""


class ProvisionError(CircuitGraphError, OSError):
    """Java or a jar could not be had, or is not what the lock file says."""


class ServerError(CircuitGraphError, RuntimeError):
    """The managed server did not do as told."""


class PortTakenError(ServerError):
    """Something else listens on the port."""


class StoreUnavailableError(CircuitGraphError, ConnectionError):
    """No database answers at the address."""


class StoreAuthError(CircuitGraphError, PermissionError):
    """The database refused the user or password."""


class NetworkConflictError(CircuitGraphError, ValueError):
    """Other weights are already there under the same network id."""


class LoadError(CircuitGraphError, RuntimeError):
    """What was loaded is not what the bundle holds."""


class QueryError(CircuitGraphError, ValueError):
    """Cypher that the server does not accept."""


class QueryRefusedError(QueryError, PermissionError):
    """Cypher that would do more than read; nothing ran."""


class QueryLimitError(QueryError, TimeoutError):
    """Cypher that took more time or memory than it is allowed."""
