"""What a person at a terminal meets: flags, the cache folder, the log, ports."""

from __future__ import annotations

import errno
import logging
import socket
import tempfile
from pathlib import Path

import pytest

from fairlead_serving import cachefolder
from fairlead_serving.flags import parser
from fairlead_serving.logs import PlainFormatter
from fairlead_serving.workers.port import refusal


def test_the_help_fits_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = parser().format_help().splitlines()
    assert "model:" in lines
    assert [line for line in lines if len(line) > 80] == []


def test_a_flag_is_not_guessed_from_its_beginning(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(["x", "--work", "2"])
    assert ended.value.code == 2
    assert "--work" in capsys.readouterr().err


def test_the_program_has_a_version_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["-V"])
    assert capsys.readouterr().out.startswith("fairlead-serve ")
    assert parser().parse_args(["x", "--version", "7"]).version == "7"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"HOME": "/home/ann"}, "/home/ann/.cache/fairlead"),
        ({"HOME": "/home/ann", "XDG_CACHE_HOME": "/data/cache"}, "/data/cache/fairlead"),
        ({"HOME": "/home/ann", "XDG_CACHE_HOME": "relative"}, "/home/ann/.cache/fairlead"),
        ({"HOME": "/"}, None),
        ({}, None),
    ],
)
def test_the_cache_is_the_users_where_the_systems_cannot_be_written(
    tmp_path: Path, environment: dict[str, str], expected: str | None
) -> None:
    # A file is no folder, for root either.
    blocked = tmp_path / "file"
    blocked.touch(mode=0o444)
    system = blocked / "fairlead"
    assert cachefolder.default(environment, system) == (Path(expected) if expected else system)


def test_temporary_files_are_in_the_cache_where_no_other_folder_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setattr(tempfile, "tempdir", None)
    cachefolder.lend(cache)
    assert not cache.exists()
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", list)  # as under a read-only root
    cachefolder.lend(cache)
    with tempfile.TemporaryDirectory() as made:
        assert Path(made).parent == cache


def test_the_cache_is_the_systems_where_it_can_be_made(tmp_path: Path) -> None:
    system = tmp_path / "var" / "cache"
    assert cachefolder.default({"HOME": "/home/ann"}, system) == system


def test_a_terminal_gets_plain_lines() -> None:
    record = logging.makeLogRecord({"msg": "ready %d", "args": (1,), "levelname": "INFO", "format": "onnx"})
    line = PlainFormatter().format(record)
    assert line[8:] == " info ready 1 format=onnx"


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            OSError(errno.EADDRINUSE, "error while attempting to bind on address ('::', 80): address already in use"),
            "cannot listen on port 80 of box: Address already in use; choose another (--http-port, --grpc-port)",
        ),
        (OSError(errno.EACCES, "x"), "cannot listen on port 80 of box: Permission denied"),
        (
            socket.gaierror(-2, "Name or service not known"),
            "cannot listen on port 80 of box: Name or service not known",
        ),
    ],
)
def test_a_port_that_cannot_be_had_is_told_in_a_sentence(error: OSError, sentence: str) -> None:
    assert refusal("box", 80, error) == sentence
