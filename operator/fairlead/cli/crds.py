"""`python -m fairlead.cli.crds [ROOT] [--check]`: write the CRDs from the types, or verify them.

They stand twice in the tree: plain in `crds/`, for `kubectl apply`, and as templates of the chart, so
that `helm upgrade` updates them and `helm uninstall` keeps them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml

from fairlead.api import crd

_PLAIN = Path("crds")
_CHART = Path("charts/fairlead/templates/crds")
_HEADER = "# Generated from operator/fairlead/api by `make generate`; changes here are lost.\n"
_WIDTH = 100


def render() -> dict[Path, str]:
    """Every generated file: its path below the root of the repository and its text."""
    files: dict[Path, str] = {}
    for resource in crd.RESOURCES:
        manifest = crd.manifest(resource)
        name = f"{resource.plural}.yaml"
        files[_PLAIN / name] = _HEADER + _yaml(manifest)
        files[_CHART / name] = _template(manifest)
    return files


def main(arguments: list[str] | None = None) -> int:
    """Write the files, or with `--check` say which differ; 1 when one does."""
    parser = argparse.ArgumentParser(prog="fairlead.cli.crds", description="Generate the CRDs from the types.")
    parser.add_argument("root", nargs="?", type=Path, default=Path(), help="root of the repository")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is not up to date")
    options = parser.parse_args(arguments)
    stale = [path for path, text in render().items() if _read(options.root / path) != text]
    if options.check:
        for path in stale:
            sys.stderr.write(f"{path} is not what the types say; run `make generate`\n")
        return 1 if stale else 0
    for path in stale:
        target = options.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(render()[path], encoding="utf-8")
        sys.stdout.write(f"wrote {path}\n")
    return 0


def _template(manifest: dict[str, Any]) -> str:
    annotated = manifest | {
        "metadata": manifest["metadata"] | {"annotations": {"helm.sh/resource-policy": "keep"}},
    }
    body = _yaml(annotated).replace("{{", '{{ "{{" }}')
    return f"{_HEADER}{{{{- if .Values.crds.install }}}}\n{body}{{{{- end }}}}\n"


def _yaml(manifest: dict[str, Any]) -> str:
    return yaml.dump(manifest, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


class _Dumper(yaml.SafeDumper):
    """Lists set in below their key and no anchors: what people expect of a manifest."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  # the signature is PyYAML's
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002  # PyYAML's
        super().increase_indent(flow, indentless=False)


if __name__ == "__main__":
    sys.exit(main())
