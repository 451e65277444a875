from __future__ import annotations

from pathlib import Path

import pytest

from circuitgraph.errors import SettingsError
from circuitgraph.settings import Settings, config_path, environment_name, read_settings


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"CIRCUITGRAPH_CONFIG": str(tmp_path / "config.toml")}


def test_an_option_beats_the_environment_that_beats_the_file_that_beats_the_default(environ: dict[str, str]) -> None:
    path = Path(environ["CIRCUITGRAPH_CONFIG"])
    path.write_text('heap = "3g"\nrow_limit = 7\nstore = "bolt://file:1"\n', encoding="utf-8")
    environ |= {"CIRCUITGRAPH_ROW_LIMIT": "8", "CIRCUITGRAPH_STORE": "bolt://env:1"}
    report = read_settings(environ, store="bolt://option:1", user=None)
    settings, origins = report.settings, report.origins
    assert (settings.store, origins["store"]) == ("bolt://option:1", "option")
    assert (settings.row_limit, origins["row_limit"]) == (8, "environment CIRCUITGRAPH_ROW_LIMIT")
    assert (settings.heap, origins["heap"]) == ("3g", f"file {path}")
    assert (settings.page_cache, origins["page_cache"]) == ("1g", "default")
    assert (settings.user, origins["user"]) == ("neo4j", "default")
    assert set(origins) == set(Settings.model_fields)


def test_without_a_file_or_variables_all_is_default(environ: dict[str, str]) -> None:
    report = read_settings(environ)
    assert report.settings == Settings()
    assert set(report.origins.values()) == {"default"}


def test_a_variable_set_to_nothing_counts_as_not_set(environ: dict[str, str]) -> None:
    assert read_settings({**environ, "CIRCUITGRAPH_HEAP": ""}).origins["heap"] == "default"


def test_a_tilde_is_the_home_folder(environ: dict[str, str]) -> None:
    settings = read_settings({**environ, "CIRCUITGRAPH_DATA_DIR": "~/graphs"}).settings
    assert settings.data_dir == Path.home() / "graphs"


def test_the_file_can_be_another_than_the_users_own(environ: dict[str, str]) -> None:
    assert str(config_path(environ)) == environ["CIRCUITGRAPH_CONFIG"]
    assert config_path({}).name == "config.toml"


def test_every_setting_says_what_it_is_and_has_a_variable() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert environment_name(name) == f"CIRCUITGRAPH_{name.upper()}"


def test_the_password_is_not_in_what_is_printed_of_the_settings(environ: dict[str, str]) -> None:
    report = read_settings({**environ, "CIRCUITGRAPH_PASSWORD": "hunter2"})
    assert report.settings.password is not None
    assert report.settings.password.get_secret_value() == "hunter2"
    assert "hunter2" not in f"{report!r} {report.settings} {report.settings.model_dump()}"


@pytest.mark.parametrize(
    ("name", "value"),
    [("heap", "0g"), ("heap", "2 gigabytes"), ("bolt_port", "70000"), ("row_limit", "0"), ("query_timeout_s", "-1")],
)
def test_a_value_that_cannot_be_used_is_named_with_where_it_came_from(
    environ: dict[str, str], name: str, value: str
) -> None:
    variable = environment_name(name)
    with pytest.raises(SettingsError) as caught:
        read_settings({**environ, variable: value})
    assert f"setting '{name}' from environment {variable} = '{value}'" in str(caught.value)
    assert f"Set {variable} anew" in caught.value.hint


def test_a_wrong_value_in_the_file_names_the_file(environ: dict[str, str]) -> None:
    path = Path(environ["CIRCUITGRAPH_CONFIG"])
    path.write_text("row_limit = -3\n", encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        read_settings(environ)
    assert f"'row_limit' from file {path} = '-3'" in str(caught.value)
    assert str(path) in caught.value.hint


def test_a_mistyped_name_gets_a_close_one_and_keeps_its_value_to_itself(environ: dict[str, str]) -> None:
    Path(environ["CIRCUITGRAPH_CONFIG"]).write_text('pasword = "hunter2"\n', encoding="utf-8")
    with pytest.raises(SettingsError, match="Did you mean password") as caught:
        read_settings(environ)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("content", [b"heap = ", b"\xff\xfe", b"heap = '2g"])
def test_a_file_that_is_no_toml_is_named(environ: dict[str, str], content: bytes) -> None:
    Path(environ["CIRCUITGRAPH_CONFIG"]).write_bytes(content)
    with pytest.raises(SettingsError, match=r"config\.toml") as caught:
        read_settings(environ)
    assert "Mend the file" in caught.value.hint
