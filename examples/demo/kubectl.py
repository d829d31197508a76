"""kubectl and helm on the demo's cluster."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import yaml

PORT_FORWARD_SECONDS = 20.0

Manifest = dict[str, Any]


class DemoError(Exception):
    """The demo cannot go on; the text says why and what to look at."""


@dataclass(frozen=True, slots=True)
class Kubectl:
    """A cluster by its kubeconfig file, the folder of kubectl and helm, and the namespace worked in."""

    kubeconfig: Path
    programs: Path
    namespace: str

    def run(self, *arguments: str, stdin: str | None = None, limit: float = 120.0) -> str:
        """Run kubectl and return what it prints. Raises DemoError with its complaint."""
        return self._run([*self._kubectl(), *arguments], stdin, limit)

    def helm(self, *arguments: str, namespace: str, limit: float = 180.0) -> str:
        """Run helm and return what it prints. Raises DemoError with its complaint."""
        command = [str(self.programs / "helm"), "--kubeconfig", str(self.kubeconfig), "--namespace", namespace]
        return self._run([*command, *arguments], None, limit)

    def apply(self, *manifests: Manifest) -> None:
        """Apply manifests server-side."""
        self.run("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=yaml.safe_dump_all(manifests))

    def get(self, *arguments: str) -> Manifest:
        """One object or list as JSON."""
        answer: Manifest = json.loads(self.run("get", *arguments, "-o", "json"))
        return answer

    def exists(self, *arguments: str) -> bool:
        """Whether an object is there."""
        return bool(self.run("get", *arguments, "--ignore-not-found", "-o", "name").strip())

    def rollout_status(self, *deployments: str, seconds: int = 90) -> None:
        """Wait until Deployments are complete. Raises DemoError with what their pods say when that takes too long."""
        for name in deployments:
            try:
                self.run("rollout", "status", f"deployment/{name}", f"--timeout={seconds}s", limit=seconds + 30)
            except DemoError as error:
                message = f"{error}\n{self.run('get', 'pods,events')}"
                raise DemoError(message) from error

    def stream(self, *arguments: str) -> subprocess.Popen[str]:
        """Start kubectl with its output in a pipe; whoever started it ends it."""
        return subprocess.Popen(
            [*self._kubectl(), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            text=True,
            env=self._environment(),
        )

    @contextmanager
    def port_forward(self, service: str, port: int) -> Iterator[int]:
        """A local port that leads to a Service, while the context lasts."""
        with self.stream("port-forward", f"service/{service}", f":{port}", "--address=127.0.0.1") as running:
            try:
                line = running.stdout.readline() if running.stdout else ""
                found = re.search(r"127\.0\.0\.1:(\d+) ->", line)
                if found is None:
                    message = f"kubectl could not forward a port to the service {service}"
                    raise DemoError(message)
                yield int(found[1])
            finally:
                running.terminate()

    def _kubectl(self) -> list[str]:
        return [str(self.programs / "kubectl"), "--kubeconfig", str(self.kubeconfig), "--namespace", self.namespace]

    def _run(self, command: Sequence[str], stdin: str | None, limit: float) -> str:
        shown = " ".join([Path(command[0]).name, *command[5:]])
        try:
            done = subprocess.run(
                command,
                input=stdin,
                capture_output=True,
                text=True,
                check=False,
                timeout=limit,
                env=self._environment(),
            )
        except subprocess.TimeoutExpired as error:
            message = f"`{shown}` did not end within {limit:.0f} s"
            raise DemoError(message) from error
        if done.returncode != 0:
            message = f"`{shown}` failed: {done.stderr.strip()}"
            raise DemoError(message)
        return done.stdout

    def _environment(self) -> dict[str, str]:
        # KUBECONFIG and HELM_* of whoever runs this stay out of it.
        return {name: value for name, value in os.environ.items() if not name.startswith(("KUBE", "HELM_"))}


def documents(stream: IO[str]) -> Iterator[Manifest]:
    """The events of `kubectl get --watch --output-watch-events -o json`, one a line, as they come."""
    for line in stream:
        # A line cut short is the end of a kubectl that was stopped.
        if line.endswith("\n"):
            yield json.loads(line)
