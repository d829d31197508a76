"""`fairlead report` on files; on a cluster: tests/component/cli."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import yaml

from examples.demo import summary
from fairlead.cli.main import main
from tests.unit.report.records import rollout


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    return tmp_path


@pytest.mark.parametrize("name", ["r.json", "r.yaml", "./r"])
def test_a_file_becomes_a_page_named_after_the_rollout(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    text = json.dumps(rollout()) if name.endswith("json") else yaml.safe_dump(rollout())
    (folder / name).write_text(text)
    assert main(["report", name]) == 0
    assert capsys.readouterr().out == "fraud-bbb-1.html\n"
    assert (folder / "fraud-bbb-1.html").read_text().startswith("<!doctype html>")


def test_of_a_list_the_newest_is_taken_and_the_page_may_go_to_standard_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    new, old = rollout(version="9"), rollout(version="8")
    old["metadata"] |= {"creationTimestamp": "2025-01-01T00:00:00Z"}
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps({"kind": "List", "items": [new, old]})))
    assert main(["report", "-", "-o", "-"]) == 0
    assert "Version 9" in capsys.readouterr().out


def test_a_name_with_a_path_in_it_writes_nowhere_else(folder: Path) -> None:
    evil = rollout()
    evil["metadata"]["name"] = "../evil"
    (folder / "r.json").write_text(json.dumps(evil))
    assert main(["report", "r.json"]) == 0
    assert (folder / "rollout.html").exists()
    assert not (folder.parent / "evil.html").exists()


@pytest.mark.parametrize(
    ("arguments", "text", "message"),
    [
        (["-"], "", "standard input holds no ModelRollout"),
        (["-"], "a: [", "is neither YAML nor JSON"),
        (["-"], "{", "is neither YAML nor JSON"),
        (["-"], '{"kind": "Pod"}', "this is a Pod, not a ModelRollout"),
        (["-"], '{"kind": "List", "items": []}', "is a list without a ModelRollout"),
        (["missing.yaml"], "", "cannot read missing.yaml: No such file or directory"),
        (["fraud"], "", "there is no kubeconfig"),
        (["-", "-o", "no/such/folder.html"], json.dumps(rollout()), "cannot write the report"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], text: str, message: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    assert main(["report", *arguments]) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_several_kubeconfigs_are_not_guessed_among(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/a:/b")
    assert main(["report", "fraud"]) == 2
    assert "--kubeconfig" in capsys.readouterr().err


def test_the_demo_leaves_a_report_of_each_rollout_behind(folder: Path) -> None:
    written = summary.reports([rollout(), None], folder / "build/demo")
    assert written == [folder / "build/demo/fraud-bbb-1.html"]
    assert "Version 2" in written[0].read_text()
