"""What the explorer looks at: bundles, a catalogue, and a store if there is one."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from circuitgraph.bundle import Bundle
from circuitgraph.bundle.format import MANIFEST
from circuitgraph.catalogue.claims import Author
from circuitgraph.errors import CatalogueError, CircuitGraphError, IdError, MissingFileError, UnknownNetworkError
from circuitgraph.ids import kind_of

if TYPE_CHECKING:
    from circuitgraph.catalogue import Catalogue
    from circuitgraph.store import Store
    from circuitgraph.web.searches import Searches

__all__ = ["Explorer"]


class Explorer:
    """Bundles by network, a catalogue, perhaps a store, and who speaks.

    Parameters
    ----------
    bundles
        One for each network.
    catalogue
        Folder of the catalogue; None where there is none.
    store
        A database behind the guard, for Cypher.
    author
        Who makes the claims that are made in the pages; None where the settings name nobody.
    is_public
        Whether strangers look: then nothing can be written, and no search is started.
    searches
        Folder in which results of searches are kept; none are shown or started if None.

    Raises
    ------
    UnknownNetworkError
        Two bundles hold the same network.
    """

    def __init__(
        self,
        bundles: Iterable[Bundle],
        *,
        catalogue: Path | None = None,
        store: Store | None = None,
        author: Author | None = None,
        is_public: bool = False,
        searches: Path | None = None,
    ) -> None:
        self._bundles: dict[str, Bundle] = {}
        for bundle in bundles:
            if bundle.network in self._bundles:
                raise UnknownNetworkError(
                    f"exploring {bundle.path}: {self._bundles[bundle.network].path} holds {bundle.network} already.",
                    hint="Give one bundle for each network.",
                )
            self._bundles[bundle.network] = bundle
        self.catalogue_folder = catalogue
        self._had_catalogue = self._has_folder
        self.store = store
        self.author = author
        self.is_public = is_public
        self.searches: Searches | None = None
        if searches is not None:
            from circuitgraph.web.searches import Searches

            self.searches = Searches(searches)
        # SQLite and what is read of a catalogue are for one thread at a time
        self._own = threading.local()
        self._opened: list[tuple[threading.Thread, Catalogue]] = []
        self._lock = threading.Lock()

    @classmethod
    def open(
        cls,
        paths: Sequence[str | Path],
        *,
        catalogue: Path | None = None,
        store: Store | None = None,
        author: Author | None = None,
        is_public: bool = False,
        searches: Path | None = None,
    ) -> Explorer:
        """Open the bundles at `paths`; the rest as the class takes it.

        Raises
        ------
        MissingFileError, BundleError, BundleCorruptError
            A bundle cannot be opened.
        UnknownNetworkError
            Two bundles hold the same network.
        """
        bundles = [Bundle.open(path) for path in paths]
        return cls(bundles, catalogue=catalogue, store=store, author=author, is_public=is_public, searches=searches)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of bundles and of what was opened of the catalogue, stop searches; the store is its owner's."""
        if self.searches is not None:
            self.searches.close()
        for bundle in self._bundles.values():
            bundle.close()
        with self._lock:
            while self._opened:
                self._opened.pop()[1].close()

    @property
    def bundles(self) -> Mapping[str, Bundle]:
        """The bundles by network."""
        return self._bundles

    @property
    def can_write(self) -> bool:
        """Whether claims can be made in the pages, by somebody who has the token."""
        return not self.is_public and self.author is not None and self.has_catalogue

    @property
    def catalogue(self) -> Catalogue | None:
        """The catalogue, opened for the thread that asks; None where there is none."""
        from circuitgraph.catalogue import Catalogue

        if self.catalogue_folder is None or self.lost_catalogue:
            return None
        mine: Catalogue | None = getattr(self._own, "catalogue", None)
        if mine is None:
            try:
                mine = Catalogue.open(self.catalogue_folder)
            except MissingFileError:
                return None
            self._own.catalogue = mine
            self._had_catalogue = True
            with self._lock:
                # threads come and go with the requests, and each has opened files
                ended = [each for thread, each in self._opened if not thread.is_alive()]
                self._opened = [pair for pair in self._opened if pair[0].is_alive()]
                self._opened.append((threading.current_thread(), mine))
            for each in ended:
                each.close()
        return mine

    @property
    def _has_folder(self) -> bool:
        from circuitgraph.catalogue.log import ClaimLog

        return self.catalogue_folder is not None and ClaimLog.is_in(self.catalogue_folder)

    @property
    def lost_catalogue(self) -> str:
        """What became of a catalogue that was there and is not any more, in a sentence; empty where none is lost."""
        if self.catalogue_folder is None or not self._had_catalogue or self._has_folder:
            return ""
        return (
            f"The catalogue, {self.catalogue_folder.name}, is not where it was: it was moved, removed or unmounted. "
            "Claims, names and saved circuits are not shown until it is back, and nothing can be added."
        )

    @property
    def lost_bundles(self) -> list[Bundle]:
        """Bundles that are open here and are not where they were."""
        return [bundle for bundle in self._bundles.values() if not (bundle.path / MANIFEST).is_file()]

    @property
    def has_catalogue(self) -> bool:
        """Whether there is a catalogue, and one that can be opened."""
        try:
            return self.catalogue is not None
        except (CircuitGraphError, OSError):
            # whoever needs it is told why
            return False

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Look at the log of claims once, for all that is asked of the catalogue until the end; nothing is written."""
        catalogue = self.catalogue
        if catalogue is None:
            yield
            return
        with catalogue.index.steady():
            yield

    def need_catalogue(self) -> Catalogue:
        """Return the catalogue.

        Raises
        ------
        CatalogueError
            There is none.
        """
        if (found := self.catalogue) is None:
            if said := self.lost_catalogue:
                raise CatalogueError(said, hint="Put it back, then ask again.")
            raise CatalogueError(
                "this explorer has no catalogue.",
                hint="Begin one: circuitgraph catalogue new --starter",
            )
        return found

    def bundle(self, uid: str) -> Bundle:
        """Return the bundle of a network, or of the network that a uid of something in it begins with.

        Raises
        ------
        UnknownNetworkError
            No bundle of it is open.
        """
        network = uid.partition("/")[0]
        if network in self._bundles:
            return self._bundles[network]
        known = ", ".join(sorted(self._bundles)) or "none"
        raise UnknownNetworkError(
            f"network {network[:80]!r} is not open here; open are: {known}.",
            hint="Start the explorer with its bundle: circuitgraph explore NETWORK.circuit",
        )

    def bundle_if_any(self, uid: str) -> Bundle | None:
        """Return the bundle of a uid's network; None where none is open or the uid is of no network."""
        with suppress(UnknownNetworkError, IdError):
            if kind_of(uid) in ("network", "layer", "unit", "family", "edge"):
                return self.bundle(uid)
        return None
