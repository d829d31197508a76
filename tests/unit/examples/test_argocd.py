"""The Argo CD snippet is whole and says what health.lua says."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

FOLDER = Path(__file__).parents[3] / "examples" / "argocd"
HEALTH = (FOLDER / "health.lua").read_text(encoding="utf-8")
DATA = yaml.safe_load((FOLDER / "argocd-cm.yaml").read_text(encoding="utf-8"))["data"]


def test_snippet_holds_the_health_check() -> None:
    assert DATA["resource.customizations.health.fairlead.dev_ModelDeployment"] == HEALTH


def test_every_action_that_is_offered_is_defined() -> None:
    actions = yaml.safe_load(DATA["resource.customizations.actions.fairlead.dev_ModelDeployment"])
    names = [definition["name"] for definition in actions["definitions"]]
    assert all(f'["{name}"]' in actions["discovery.lua"] for name in names)
    assert actions["discovery.lua"].count("disabled = off") == len(names)


@pytest.mark.parametrize(
    ("obj", "health"),
    [
        ("{metadata = {generation = 1}}", "Progressing"),
        ("{metadata = {generation = 2}, status = {phase = 'Healthy', observedGeneration = 1}}", "Progressing"),
        ("{metadata = {generation = 2}, status = {phase = 'Healthy', observedGeneration = 2}}", "Healthy"),
        ("{metadata = {generation = 2}, status = {phase = 'Paused', observedGeneration = 2}}", "Suspended"),
        ("{metadata = {generation = 2}, status = {phase = 'Degraded', observedGeneration = 2}}", "Degraded"),
    ],
)
def test_health_by_phase(obj: str, health: str) -> None:
    lua = next(filter(None, map(shutil.which, ("lua5.3", "lua5.4", "lua5.1", "luajit", "lua"))), None)
    if lua is None:
        pytest.skip("no Lua interpreter (Debian package lua5.3)")
    script = f"local obj = {obj}\nlocal function check()\n{HEALTH}\nend\nprint(check().status)"
    done = subprocess.run([lua, "-"], input=script, capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip() == health
