"""What the commands of the catalogue share: opening it, and who speaks."""

from __future__ import annotations

from datetime import date

from pydantic import ValidationError

from circuitgraph.catalogue.claims import Author
from circuitgraph.catalogue.documents import first_fault
from circuitgraph.catalogue.local import Catalogue
from circuitgraph.cli.output import show_progress
from circuitgraph.errors import CatalogueError, MissingFileError
from circuitgraph.settings import read_settings

__all__ = ["open_catalogue", "open_if_any", "today", "who_speaks"]


def open_catalogue(folder: str | None, *, create: bool = False, quiet: bool = True) -> Catalogue:
    """Open the catalogue that the option or the settings name.

    Raises
    ------
    MissingFileError
        There is none, and it is not to be created.
    """
    path = read_settings(catalogue=folder).settings.catalogue_folder
    return Catalogue.open(path, create=create, progress=show_progress(quiet=quiet))


def open_if_any(folder: str | None) -> Catalogue | None:
    """Open the catalogue that the option or the settings name; None where the option is not given and there is none.

    Raises
    ------
    MissingFileError
        There is none where the option says.
    """
    try:
        return open_catalogue(folder)
    except MissingFileError:
        if folder is not None:
            raise
        return None


def who_speaks(author: str | None, orcid: str | None, *, act: str = "making a claim") -> Author:
    """Return who makes a claim or does another act, from the options or the settings.

    Raises
    ------
    CatalogueError
        No name is given, or what is given names nobody.
    """
    settings = read_settings(author=author, orcid=orcid).settings
    if not settings.author:
        raise CatalogueError(
            f"{act}: it is not said who does it.",
            hint="Give --author 'YOUR NAME' [--orcid 0000-0002-1825-0097], or set CIRCUITGRAPH_AUTHOR.",
        )
    try:
        return Author(name=settings.author, orcid=settings.orcid)
    except ValidationError as error:
        raise CatalogueError(
            f"{act}: {first_fault(error)}.",
            hint="`circuitgraph config show` tells where a name or ORCID comes from that you did not give.",
        ) from error


def today() -> str:
    """Return the day, as claims are dated."""
    return date.today().isoformat()
