"""One document, one environment schema."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adapters import Adapters, connect
from adapters.errors import Invalid, NotFound
from adapters.settings import KeyValueSettings, Secret, Settings, StorageSettings, clouds, reveal, variables


def test_with_nothing_said_the_cloud_is_local() -> None:
    assert Settings.load(environ={}).cloud == "local"


def test_a_document_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    settings = Settings(
        cloud="aws",
        environment="prod",
        storage=StorageSettings(bucket="b", prefix="team/", secret_key=Secret("file:/run/key")),
        key_value=KeyValueSettings(host="redis", port=6380, tls=True),
    )
    path = tmp_path / "settings.json"
    path.write_bytes(settings.to_json())
    assert Settings.load(path, environ={}) == settings
    assert Settings.load(environ={"ISTHMUS_SETTINGS": str(path)}) == settings


def test_a_variable_is_laid_over_the_document_and_converted(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_bytes(Settings(cloud="local", key_value=KeyValueSettings(host="a")).to_json())
    environ = {"ISTHMUS_KEY_VALUE_PORT": "7000", "ISTHMUS_KEY_VALUE_TLS": "true", "ISTHMUS_STORAGE_BUCKET": "b"}
    settings = Settings.load(path, environ=environ)
    assert (settings.key_value.host, settings.key_value.port, settings.key_value.tls) == ("a", 7000, True)
    assert settings.storage.bucket == "b"


def test_every_field_of_every_section_has_a_variable_that_sets_it() -> None:
    for name, place in variables().items():
        section, field = place.split(".")
        kind = type(getattr(getattr(Settings(cloud="local"), section), field))
        text = {bool: "true", int: "7", float: "7.5", str: "none" if field == "auth" else "text"}[kind]
        value = getattr(getattr(Settings.load(environ={name: text}), section), field)
        assert str(value).lower() == text, name


def test_a_document_of_another_cloud_than_the_variable_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_bytes(Settings(cloud="aws").to_json())
    with pytest.raises(Invalid, match="for cloud 'aws', but CLOUD_PROVIDER is 'gcp'"):
        Settings.load(path, environ={"CLOUD_PROVIDER": "gcp"})


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"CLOUD_PROVIDER": "mars"}, "unknown cloud 'mars'; the clouds known here are aws, gcp, local, memory, onprem"),
        ({"ISTHMUS_STORAGE_BUCKT": "x"}, "ISTHMUS_STORAGE_BUCKT: unknown variable; known here: ISTHMUS_STORAGE_BUCKET"),
        ({"ISTHMUS_KEY_VALUE_PORT": "0"}, "key_value.port: Expected `int` >= 1"),
        ({"ISTHMUS_QUEUE_AUTH": "kerberos"}, "queue.auth: Invalid enum value 'kerberos'"),
    ],
)
def test_a_wrong_variable_is_named_with_its_cure(environ: dict[str, str], said: str) -> None:
    with pytest.raises(Invalid) as refused:
        Settings.load(environ=environ)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not a settings document"),
        ("[]", "is a JSON object"),
        ('{"cloud": "local", "schema": 9}', "has schema 9, this version reads 1"),
        ('{"cloud": "local", "storag": {}}', "unknown field `storag`"),
        ('{"cloud": "local", "storage": {"bucket": 3}}', "storage.bucket"),
    ],
)
def test_a_wrong_document_is_named_with_its_cure(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "settings.json"
    path.write_text(text)
    with pytest.raises(Invalid) as refused:
        Settings.load(path, environ={})
    assert said in str(refused.value)
    assert "settings.json" in str(refused.value)


def test_a_document_that_is_not_there_says_who_writes_it(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="`isthmus up` writes them"):
        Settings.load(tmp_path / "none.json", environ={})


def test_a_secret_is_revealed_from_a_file_or_a_variable(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("hush\n")
    assert reveal(Secret(f"file:{tmp_path / 's'}")) == "hush"
    assert reveal(Secret("env:S"), environ={"S": "hush"}) == "hush"
    assert reveal(Secret("")) is None


def test_a_value_written_where_a_reference_belongs_is_refused_and_never_quoted() -> None:
    with pytest.raises(Invalid) as refused:
        reveal(Secret("hunter2"))
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("reference", ["file:/not/there", "env:NOT_THERE"])
def test_a_secret_that_is_not_there_is_not_found(reference: str) -> None:
    with pytest.raises(NotFound):
        reveal(Secret(reference), environ={})


def test_the_document_holds_no_field_that_was_left_alone() -> None:
    assert json.loads(Settings(cloud="local").to_json()) == {"cloud": "local"}


def test_a_cloud_is_known_by_its_folder() -> None:
    assert {"local", "onprem", "aws", "gcp", "memory"} <= set(clouds())


def test_two_connections_are_open_at_once_and_share_nothing() -> None:
    with connect(Settings(cloud="memory")) as one, connect(Settings(cloud="memory")) as other:
        assert isinstance(one, Adapters)
        one.storage.put("k", b"v")
        with pytest.raises(NotFound):
            other.storage.get("k")


def test_connecting_contacts_nothing_before_a_port_is_used() -> None:
    with connect(Settings(cloud="aws", storage=StorageSettings(bucket="b", endpoint="http://127.0.0.1:9"))):
        pass
