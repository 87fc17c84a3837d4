"""Inputs and templates of local processes: every mistake is found before anything starts, and told with its name."""

from __future__ import annotations

from typing import Any

import pytest

from infra.providers.base import Call, State
from infra.providers.inputs import parse
from infra.providers.local import spec
from infra.providers.local.process import Process
from infra.providers.local.spec import ProcessInputs, Tcp
from infra.providers.local.templates import Names, Scope, problems, render
from infra.providers.values import UNKNOWN

CALL = Call("urn:pulumi:dev::shop::isthmus:local:Process::web")
NAMES = Names(frozenset({"http"}), frozenset({"a.conf"}), frozenset({"key"}))
SCOPE = Scope(
    plain={"dir": "/d", "data": "/d/data", "log": "/d/log", "host": "127.0.0.1", "name": "web"},
    ports={"http": 20001},
    files={"a.conf": "/d/files/a.conf"},
    secrets={"key": "s3cret"},
    secret_files={"key": "/d/secrets/key"},
)


def told(**inputs: Any) -> dict[str, str]:
    checked = spec.check({"program": "python-infra", **inputs})
    return {failed.property: failed.reason for failed in checked.failures}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://{host}:{port.http}/", "http://127.0.0.1:20001/"),
        ("{file.a.conf} {secret_file.key} {secret.key}", "/d/files/a.conf /d/secrets/key s3cret"),
        ("{dir}{data}{log}{name}", "/d/d/data/d/logweb"),
        ('{"port": {port.http}}', '{"port": 20001}'),
        ('{"a": {"b": {}}}', '{"a": {"b": {}}}'),
        ("${HOME} {} { dir }", "${HOME} {} { dir }"),
        ("{{dir}} {{port.http}}", "{dir} {port.http}"),
    ],
)
def test_words_in_braces_are_replaced_and_nothing_else_is(text: str, expected: str) -> None:
    assert problems(text, NAMES) == []
    assert render(text, SCOPE) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{prot.http}", "{prot.http} means nothing; expected one of dir, data"),
        ("{folder}", "or {{folder}} for the text itself"),
        ("{port}", "{port} means nothing"),
        ("{port.grpc}", "{port.grpc} names a port that is not declared; declared: http"),
        ("{secret_file.other}", "names a secret file that is not declared; declared: key"),
    ],
)
def test_a_word_that_means_nothing_is_told_with_what_would(text: str, expected: str) -> None:
    assert expected in problems(text, NAMES)[0]


def test_a_secret_is_refused_where_others_would_see_it() -> None:
    assert "use {secret_file.key}, env or files" in problems("{secret.key}", NAMES, secrets_allowed=False)[0]
    common = {"secrets": ["key"]}
    assert told(args=["{secret.key}"], **common).keys() == {"args[0]"}
    assert told(setup=[["x", "{secret.key}"]], **common).keys() == {"setup[0][1]"}
    assert told(urls={"u": "{secret.key}"}, **common).keys() == {"urls.u"}
    assert told(env={"K": "{secret.key}"}, files={"f": "{secret.key}"}, **common) == {}


def test_defaults_are_filled_in_so_that_leaving_one_out_is_no_change() -> None:
    short = spec.check({"program": "python-infra"}).inputs
    long = spec.check({"program": "python-infra", "args": [], "stop": {"signal": "TERM"}, "keep_data": True}).inputs
    assert short == long
    assert parse(ProcessInputs, spec.check({"program": "python-infra", "ready": [{"kind": "tcp", "port": "p"}],
                                            "ports": {"p": 0}}).inputs).ready == [Tcp("p")]  # fmt: skip


@pytest.mark.parametrize(
    ("inputs", "name", "reason"),
    [
        ({"program": "nginx"}, "program", "no tool is called 'nginx'"),
        ({"arg": ["x"]}, "arg", "is not an input; did you mean 'args'?"),
        ({"ports": {"HTTP": 0}}, "ports", "regex"),
        ({"ports": {"http": 70000}}, "ports[...]", "<= 65535"),
        ({"ports": {"a": 9000, "b": 9000}}, "ports", "port 9000 is asked for twice"),
        ({"secrets": ["key", "key"]}, "secrets", "declared twice"),
        ({"ready": [{"kind": "udp", "port": "p"}]}, "ready[0].kind", "invalid value 'udp'"),
        ({"ready": [{"kind": "log", "pattern": "("}]}, "ready[0].pattern", "not a regular expression"),
        ({"ready_timeout_seconds": 0}, "ready_timeout_seconds", "> 0"),
        ({"stop": {"signal": "KILL"}}, "stop.signal", "invalid enum value 'kill'"),
        ({"files": {"../x": ""}}, 'files["../x"]', "plain relative file name"),
        ({"files": {"/etc/x": ""}}, 'files["/etc/x"]', "plain relative file name"),
        ({"env": {"A": 1}}, "env[...]", "expected `str`, got `int`"),
    ],
)
def test_a_wrong_input_is_told_with_its_path_and_reason(inputs: dict[str, Any], name: str, reason: str) -> None:
    found = told(**inputs)
    assert list(found) == [name] and reason in found[name]


def test_a_required_input_that_is_missing_is_named() -> None:
    assert [(f.property, f.reason) for f in spec.check({}).failures] == [("program", "is required")]


def test_what_a_preview_does_not_know_is_let_through_and_the_rest_still_checked() -> None:
    checked = spec.check(
        {"program": UNKNOWN, "args": ["{port.http}", UNKNOWN], "ports": UNKNOWN, "files": {"f": UNKNOWN}}
    )
    assert checked.failures == []
    assert spec.check({"program": UNKNOWN, "secrets": ["A"]}).failures[0].property == "secrets[0]"


def test_a_dead_process_is_a_difference_though_no_input_changed() -> None:
    inputs = spec.check({"program": "python-infra"}).inputs
    dead = State("shop/dev/web-1", inputs, {"running": False, "pid": 1})
    difference = Process().diff(CALL, dead, inputs)
    assert [(change.path, change.drift) for change in difference.changes] == [(("running",), True)]
    assert Process().diff(CALL, State("i", inputs, {"running": True}), inputs).changes == []


def test_a_preview_of_a_restart_keeps_the_ports_and_does_not_know_the_pid() -> None:
    inputs = spec.check({"program": "python-infra", "ports": {"http": 0}, "urls": {"u": "{port.http}"}}).inputs
    outputs = {"running": True, "pid": 1, "started": "t", "ports": {"http": 2}, "urls": {"u": "2"}, "data_id": "d"}
    old = State("shop/dev/web-1", inputs, outputs)
    planned = Process().plan(CALL, old, {**inputs, "args": ["x"]})
    assert planned["pid"] is UNKNOWN and planned["ports"] == {"http": 2} and planned["urls"] == {"u": "2"}
    assert Process().plan(CALL, old, {**inputs, "keep_data": False})["pid"] == 1
    assert Process().plan(CALL, old, {**inputs, "ports": {"http": 0, "b": 0}})["ports"] is UNKNOWN
