"""The versions of Neo4j that the managed server can run: what each is started by, and what it does not know.

Each has a lock file of its own beside this module, written by ``scripts/lock_jars.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

from circuitgraph.errors import SettingsError

__all__ = ["NEO4J_VERSION", "RELEASES", "Release", "find_release", "version_order"]

NEO4J_VERSION = "2026.08.1"
"""The version that is taken if none is asked for, and that ``docker/`` runs."""


@dataclass(frozen=True, slots=True)
class Release:
    """One version of Neo4j.

    Parameters
    ----------
    version
        As its makers write it.
    main
        The class that is started.
    oldest_java, newest_java
        Versions of Java that it runs on; None where no newer one is known not to serve.
    unknown_settings
        Settings of ours that it would refuse.
    own_settings
        Settings that it needs in their place.
    """

    version: str
    main: str
    oldest_java: int
    newest_java: int | None = None
    unknown_settings: frozenset[str] = frozenset()
    own_settings: tuple[tuple[str, str], ...] = ()

    @property
    def java_words(self) -> str:
        """The Java it needs, in words."""
        return (
            f"{self.oldest_java} or newer" if self.newest_java is None else f"{self.oldest_java} to {self.newest_java}"
        )

    @property
    def order(self) -> tuple[int, ...]:
        """What sorts the versions by age."""
        return version_order(self.version)

    def runs_on(self, java: int) -> bool:
        """Return whether this version of Java serves."""
        return self.oldest_java <= java and (self.newest_java is None or java <= self.newest_java)


RELEASES = {
    release.version: release
    for release in (
        Release(NEO4J_VERSION, "org.neo4j.server.Neo4jCommunity", oldest_java=21),
        Release(
            "5.26.30",
            "org.neo4j.server.CommunityEntryPoint",
            oldest_java=17,
            newest_java=21,
            unknown_settings=frozenset(
                {
                    "dbms.fleet_manager.enabled",
                    "server.fleet_discovery.enabled",
                    "internal.dbms.bolt.netty_server_shutdown_quiet_period_duration",
                }
            ),
            # in whole seconds, and so without a unit
            own_settings=(("internal.dbms.bolt.netty_server_shutdown_quiet_period", "0"),),
        ),
    )
}
"""Each version that has a lock file, the one that is taken by default first."""


def find_release(version: str | None = None) -> Release:
    """Return the release of a version, of which the end may be left out: ``5.26`` is 5.26.30.

    Raises
    ------
    SettingsError
        There is no lock file for it.
    """
    if version is None:
        return RELEASES[NEO4J_VERSION]
    for known, release in RELEASES.items():
        if known == version or known.startswith(f"{version}."):
            return release
    raise SettingsError(
        f"setting 'neo4j_version': there is no Neo4j {version!r} here, only {' and '.join(RELEASES)}.",
        hint=f"Set CIRCUITGRAPH_NEO4J_VERSION={NEO4J_VERSION}",
    )


def version_order(version: str) -> tuple[int, ...]:
    """Return what sorts versions by age; a part that is no number counts as 0."""
    return tuple(int(part) if part.isdigit() else 0 for part in version.split("."))
