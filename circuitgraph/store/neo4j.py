"""A graph database: connecting, loading bundles, asking in Cypher."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from circuitgraph.bundle import Bundle
from circuitgraph.errors import (
    MissingExtraError,
    QueryError,
    QueryLimitError,
    QueryRefusedError,
    StoreAuthError,
    StoreUnavailableError,
)
from circuitgraph.ids import find_unit_ids
from circuitgraph.progress import SILENT, Progress
from circuitgraph.result import Result
from circuitgraph.settings import Settings, read_settings
from circuitgraph.store.broken import broken_error
from circuitgraph.store.deadline import within_limits
from circuitgraph.store.explain import check_plan, check_text
from circuitgraph.store.fidelity import edge_notes

try:
    import neo4j
    from neo4j.exceptions import (
        AuthError,
        ClientError,
        ConfigurationError,
        DatabaseError,
        DriverError,
        Neo4jError,
        ServiceUnavailable,
        SessionExpired,
    )
    from neo4j.graph import Node, Relationship
    from neo4j.graph import Path as GraphPath
except ModuleNotFoundError as error:
    raise MissingExtraError(
        f"a store needs the package {error.name!r}, which is not installed.",
        hint="pip install 'feature-circuitgraph[neo4j]'",
    ) from error

from circuitgraph.store.server import ManagedServer
from circuitgraph.store.tls import tls_error, trusting

__all__ = ["Store", "foreign_errors"]

# what the driver logs of a lost connection is said by our own error; who asks for its log still has it
logging.getLogger("neo4j").addHandler(logging.NullHandler())

_CONNECT_TIMEOUT_S = 10.0
_RETRY_S = 15.0
# a process of this machine that is gone does not come back by itself
_LOCAL_RETRY_S = 5.0
_SCHEMES = ("bolt://", "bolt+s://", "bolt+ssc://", "neo4j://", "neo4j+s://", "neo4j+ssc://")
_NOT_OURS = (
    "{} is a server that circuitgraph does not run: queries are held to reading by their plan and session, "
    "but memory, time and what LOAD CSV may fetch for others are as its owner set them."
)
_Said = neo4j.NotificationDisabledClassification
_UNSAID = (
    _Said.HINT,
    _Said.UNSUPPORTED,
    _Said.PERFORMANCE,
    _Said.DEPRECATION,
    _Said.GENERIC,
    _Said.SECURITY,
    _Said.TOPOLOGY,
)
_LOST = (ServiceUnavailable, SessionExpired)
# what the driver raises for a value that Bolt has no type for
_UNSENDABLE = (TypeError, ValueError, OverflowError)


class Store:
    """A Neo4j database that holds networks; open one with `Store.open`, and use it as a context manager.

    Parameters
    ----------
    settings
        Of them: database, query_timeout_s, row_limit.
    driver
        A neo4j driver, which the store closes; None to connect to `server` when it is first needed.
    server
        The managed server behind it, None for a server that is not ours.
    """

    def __init__(
        self, settings: Settings, *, driver: neo4j.Driver | None = None, server: ManagedServer | None = None
    ) -> None:
        self.settings = settings
        self.server = server
        self._driver = driver

    @classmethod
    def open(
        cls,
        uri: str | None = None,
        *,
        user: str | None = None,
        password: str | None = None,
        settings: Settings | None = None,
        progress: Progress = SILENT,
    ) -> Store:
        """Connect to a database.

        Parameters
        ----------
        uri
            "local" for the managed server, which is started if it does not run, or a bolt:// or neo4j:// URI;
            the setting `store` if None.
        user, password
            For a URI; the settings if None.

        Raises
        ------
        StoreUnavailableError
            Nothing that speaks Bolt answers there.
        StoreAuthError
            The user or password is refused.
        ServerError, ProvisionError
            The managed server could not be started.
        """
        settings = settings or read_settings(store=uri, user=user, password=password).settings
        address = uri or settings.store
        if address == "local":
            store = cls(settings, server=ManagedServer(settings, progress))
            if store.is_new:
                # a first load imports into it, and then starts it once instead of twice
                return store
        else:
            secret = password or (settings.password.get_secret_value() if settings.password else "")
            driver = _driver(address, user or settings.user, secret, ca_file=settings.ca_file)
            store = cls(settings.model_copy(update={"store": address}), driver=driver)
        try:
            store.check_connection()
        except BaseException:
            store.close()
            raise
        if store.server is None:
            progress.note(_NOT_OURS.format(address))
        return store

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; the server goes on running, and a managed one is connected to again when needed."""
        if self._driver is not None:
            self._driver.close()
        self._driver = None

    @property
    def is_new(self) -> bool:
        """Whether this is the managed server and it has no database yet."""
        return self.server is not None and self.server.home is None

    @property
    def driver(self) -> neo4j.Driver:
        """The neo4j driver; connects, and starts the managed server, where that is still to be done.

        Raises
        ------
        StoreUnavailableError
            The store was closed, and its server is not ours to find again.
        """
        if self._driver is None:
            if self.server is None:
                raise StoreUnavailableError("the store is closed.", hint="Open another with Store.open.")
            self.server.start()
            self._driver = _driver(self.server.uri, self.server.user, self.server.password(), retry_s=_LOCAL_RETRY_S)
        return self._driver

    def check_connection(self) -> None:
        """Raise `StoreUnavailableError` or `StoreAuthError` if the database does not answer."""
        place = "the managed server" if self.server else self.settings.store
        user = self.server.user if self.server else self.settings.user
        with foreign_errors(f"connecting to {place} as {user!r}", self):
            self.driver.verify_connectivity()

    def session(self, *, write: bool = False) -> neo4j.Session:
        """Return a session of the driver, for reading unless told otherwise."""
        mode = neo4j.WRITE_ACCESS if write else neo4j.READ_ACCESS
        return self.driver.session(database=self.settings.database, default_access_mode=mode)

    def load(
        self,
        *bundles: Bundle | str | Path,
        edges: str = "auto",
        way: str = "auto",
        replace: bool = False,
        progress: Progress = SILENT,
    ) -> Any:
        """Load bundles; see `circuitgraph.store.load.load_bundles`, which this calls."""
        from circuitgraph.store.load import load_bundles

        opened = [bundle if isinstance(bundle, Bundle) else Bundle.open(bundle) for bundle in bundles]
        return load_bundles(self, opened, edges=edges, way=way, replace=replace, progress=progress)

    def explain(self, cypher: str, parameters: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the server's plan of a query that only reads; nothing runs.

        Raises
        ------
        QueryError
            The server does not accept the text.
        QueryRefusedError
            It would do more than read.
        """
        return self._plan(cypher, parameters)[0]

    def _plan(self, cypher: str, parameters: Mapping[str, Any] | None) -> tuple[dict[str, Any], list[str]]:
        """Return the plan, and what the server did not recognise in the text."""
        check_text(cypher)
        with foreign_errors("planning the query", self), self.session() as session:
            try:
                summary = session.run(f"EXPLAIN {cypher}", dict(parameters or {})).consume()
            except ClientError as error:
                _refuse_access_mode(error)
                raise
            except _UNSENDABLE as error:
                raise QueryError(
                    f"planning the query: a parameter cannot be sent: {error}",
                    hint="Give integers of 64 bits, numbers, texts, lists of them, or objects.",
                ) from error
        unknown = [said.status_description for said in summary.gql_status_objects if said.is_notification]
        return check_plan(summary.query_type, summary.plan), unknown

    def query(
        self,
        cypher: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        limit: int | None = None,
        timeout_s: float | None = None,
        **more: Any,
    ) -> Result:
        """Ask in Cypher; only reading is allowed.

        Parameters
        ----------
        cypher
            One statement.
        parameters, more
            Values of its ``$names``.
        limit
            Most rows to give; the setting `row_limit` if None. `Result.is_cut` says when it bit.
        timeout_s
            The setting `query_timeout_s` if None.

        Raises
        ------
        QueryError
            The server does not accept the text or the parameters.
        QueryRefusedError
            It would do more than read; nothing ran.
        QueryLimitError
            It took more time or memory than allowed. Where the managed server could not end it by itself, that
            was started again.
        StoreUnavailableError
            The server was lost.
        """
        values = {**(parameters or {}), **more}
        limit = self.settings.row_limit if limit is None else limit
        timeout_s = timeout_s or self.settings.query_timeout_s
        _, unknown = self._plan(cypher, values)
        began = time.monotonic()
        columns, rows, is_cut = within_limits(
            self.server, timeout_s, lambda: self._ask(cypher, values, limit, timeout_s)
        )
        seconds = time.monotonic() - began
        about = edge_notes(self, cypher, values, rows) if rows else self._absent_units(cypher, values)
        notes = [*unknown, *about, *self._notes()]
        return Result(cypher, values, columns, rows, limit, is_cut, notes, seconds)

    def _ask(
        self, cypher: str, values: Mapping[str, Any], limit: int, timeout_s: float
    ) -> tuple[list[str], list[dict[str, Any]], bool]:
        """Return columns, at most `limit` rows, and whether there were more."""
        rows: list[dict[str, Any]] = []
        with foreign_errors("running the query", self), self.session() as session:
            answer = session.run(neo4j.Query(cypher, timeout=timeout_s), dict(values))
            columns, is_cut = list(answer.keys()), False
            for record in answer:
                if len(rows) == limit:
                    is_cut = True
                    break
                rows.append({name: _plain(record[name]) for name in columns})
            answer.consume()
        return columns, rows, is_cut

    def networks(self) -> list[dict[str, Any]]:
        """Return what is loaded: the properties of each `Meta` node, by network."""
        if self.is_new:
            return []
        text = "CYPHER 5 MATCH (m:Meta) WHERE m.bundle_sha256 IS NOT NULL RETURN m ORDER BY m.network"
        return [dict(row["m"]) for row in self.run(text)]

    def run(self, cypher: str, /, *, write: bool = False, **parameters: Any) -> list[dict[str, Any]]:
        """Run a statement of ours, unguarded, in a transaction that is tried again where that is safe."""

        def work(transaction: neo4j.ManagedTransaction) -> list[dict[str, Any]]:
            return [dict(record) for record in transaction.run(cypher, parameters)]

        with foreign_errors("talking to the database", self), self.session(write=write) as session:
            return session.execute_write(work) if write else session.execute_read(work)

    def _absent_units(self, cypher: str, values: Mapping[str, Any]) -> list[str]:
        """Say which units an empty answer asked for in vain."""
        texts = [cypher, *(value for value in values.values() if isinstance(value, str))]
        asked = sorted({uid for text in texts for uid in find_unit_ids(text)})
        if not asked:
            return []
        there = {
            row["uid"]
            for row in self.run("CYPHER 5 MATCH (u:Unit) WHERE u.uid IN $asked RETURN u.uid AS uid", asked=asked)
        }
        return [f"there is no unit {uid} in the graph." for uid in asked if uid not in there]

    def _notes(self) -> list[str]:
        notes = []
        for meta in self.networks():
            if not meta["is_complete"]:
                notes.append(
                    f"{meta['network']} is not wholly loaded; run `circuitgraph load {meta['bundle_path']}` again."
                )
            elif meta["edge_count"] < meta["edges_in_bundle"]:
                notes.append(
                    f"the graph holds {meta['edge_count']:,} of {meta['edges_in_bundle']:,} edges of {meta['network']} "
                    f"({meta['edges_rule']}); what each unit lacks is 1 - kept_share."
                )
            held, whole = meta.get("direction_edge_count", 0), meta.get("direction_edges_in_bundle", 0)
            if held < whole:
                notes.append(
                    f"the graph holds {held:,} of {whole:,} edges of directions of {meta['network']} "
                    f"({meta['directions_rule']})."
                )
        return notes


def _driver(
    uri: str, user: str, password: str, *, ca_file: Path | None = None, retry_s: float = _RETRY_S
) -> neo4j.Driver:
    if not uri.startswith(_SCHEMES):
        raise _no_address(uri, f"it begins with none of {', '.join(_SCHEMES)}")
    address, trust = trusting(uri, ca_file)
    try:
        return neo4j.GraphDatabase.driver(
            address,
            auth=(user, password),
            **trust,
            connection_timeout=_CONNECT_TIMEOUT_S,
            connection_acquisition_timeout=_CONNECT_TIMEOUT_S * 2,
            max_transaction_retry_time=retry_s,
            # an unknown label or property is said under the answer; the rest is talk between server and driver
            notifications_disabled_classifications=_UNSAID,
            user_agent="circuitgraph",
        )
    except (ConfigurationError, ValueError, DriverError) as error:
        raise _no_address(uri, str(error)) from error


def _no_address(uri: str, why: str) -> StoreUnavailableError:
    return StoreUnavailableError(
        f"{uri!r} is not the address of a database: {why}.",
        hint="Use --store local, or a URI as in --store bolt://HOST:7687",
    )


@contextmanager
def foreign_errors(act: str, store: Store) -> Iterator[None]:
    """Turn what the driver raises into our own errors, with the next step for the kind of server it is."""
    try:
        yield
    except AuthError as error:
        raise StoreAuthError(
            f"{act}: the database refuses the user or password.",
            hint="Set CIRCUITGRAPH_USER and CIRCUITGRAPH_PASSWORD for a store given by URI.",
        ) from error
    except _LOST as error:
        refused = tls_error(act, error) or broken_error(act, error, store.server)
        if refused is not None:
            raise refused from error
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        hint = "See whether it runs: `circuitgraph server status`, `circuitgraph server start`."
        if store.server is None:
            hint = f"See whether the server at {store.settings.store} runs and can be reached; --store names another."
        raise StoreUnavailableError(f"{act}: the database does not answer ({first}).", hint=hint) from error
    except Neo4jError as error:
        broken = broken_error(act, error, store.server) if not isinstance(error, ClientError) else None
        if broken is not None:
            raise broken from error
        raise _query_error(act, error, is_ours=store.server is not None) from error
    except DriverError as error:
        raise StoreUnavailableError(f"{act}: {error}.", hint="Check --store and the server's log.") from error


def _query_error(act: str, error: Neo4jError, *, is_ours: bool) -> QueryError:
    code, text = error.code or "", (error.message or str(error)).strip()
    if "TransactionTimedOut" in code or "Terminated" in code:
        return QueryLimitError(
            f"{act}: it took longer than is allowed and was ended.",
            hint="Narrow it, or allow more with --timeout or CIRCUITGRAPH_QUERY_TIMEOUT_S.",
        )
    if "Memory" in code:
        return QueryLimitError(f"{act}: it needed more memory than is allowed and was ended.", hint="Narrow it.")
    if "AccessMode" in code or "ReadOnly" in code:
        return QueryRefusedError(f"{act}: it was refused, since it would write.", hint="Only reading is allowed here.")
    if isinstance(error, DatabaseError):
        hint = "`circuitgraph server status` names its log." if is_ours else "Its log says why; it is not our server."
        return QueryError(f"{act}: the server failed: {text}", hint=hint)
    if "ParameterMissing" in code:
        return QueryError(f"{act}: {text}", hint="Give each with -p NAME=VALUE.")
    return QueryError(f"{act}: {text}", hint="Mend the statement; nothing was changed.")


def _refuse_access_mode(error: ClientError) -> None:
    if "AccessMode" in (error.code or ""):
        check_plan("w", None)


def _plain(value: Any) -> Any:
    """Return a value of the driver as Python's own, ready for JSON."""
    if isinstance(value, Node):
        return {"labels": sorted(value.labels), **{k: _plain(v) for k, v in value.items()}}
    if isinstance(value, Relationship):
        # an end that the query did not return comes without properties
        both = (("start", value.start_node), ("end", value.end_node))
        ends = {name: node["uid"] for name, node in both if node is not None and "uid" in node}
        return {"type": value.type, **ends, **{k: _plain(v) for k, v in value.items()}}
    if isinstance(value, GraphPath):
        return {
            "nodes": [_plain(node) for node in value.nodes],
            "relationships": [_plain(relation) for relation in value.relationships],
        }
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        return value.iso_format() if hasattr(value, "iso_format") else value
    return [_plain(item) for item in value]
