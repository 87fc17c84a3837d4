"""What the runtime's commands refuse before they do anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from runtime.registry.main import main as models
from runtime.serve.main import main as serve
from runtime.train.main import main as train


@pytest.mark.parametrize(
    ("command", "arguments", "words"),
    [
        (serve, ["--models", "digits", "--poll-seconds", "nan"], "--poll-seconds must be above 0 and at most 86400"),
        (serve, ["--models", "digits", "--poll-seconds", "inf"], "--poll-seconds must be above 0 and at most 86400"),
        (serve, ["--models", "digits", "--poll-seconds", "0"], "--poll-seconds must be above 0 and at most 86400"),
        (serve, ["--models", "digits", "--threads", "-1"], "--threads must be above 0 and at most 1024"),
        (train, ["digits", "--seed", "-1"], "--seed must be 0 to 9223372036854775807, not -1"),
        (train, ["digits", "--seed", str(2**63)], "--seed must be 0 to 9223372036854775807"),
        (train, ["digits", "--epochs", "9" * 400], "epochs must be a whole number"),
        (models, ["alias", "digits", "champion", "9" * 5000], "is no version"),
    ],
)
def test_a_number_out_of_range_is_one_sentence_and_exit_code_2(
    command: Callable[[Sequence[str]], int],
    arguments: list[str],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CLOUD_PROVIDER", "memory")
    monkeypatch.delenv("ISTHMUS_SETTINGS", raising=False)
    try:
        code = command(arguments)
    except SystemExit as ended:
        code = ended.code
    said = capsys.readouterr().err
    assert (code, said.count("\n")) == (2, 1)
    assert words in said
