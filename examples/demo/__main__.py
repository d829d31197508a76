"""The command line: python -m examples.demo up|down|bench."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from examples.demo import bench, environment, models, promise, story, summary
from examples.demo.kubectl import DemoError, Kubectl
from examples.demo.load import LoadReader
from examples.demo.view import View, open_view
from examples.demo.watch import Watcher
from tests.cluster import Choice, ClusterError, bin_dir, choose, ensure, images
from tests.cluster.cache import locked

VERSIONS = ("1", "2", "3")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 when all promises were kept, 1 otherwise."""
    options = _parser().parse_args(arguments)
    view = open_view()
    # A process that is told to end takes its kubectl children with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        choice = choose(options.provider, options.context, view.note)
        view.note(f"cluster: {choice.cluster.name}, because {choice.reason}")
        if options.command == "down":
            return down(choice, view)
        with locked(environment.LOCK, view.note):
            kubectl = prepare(choice, view)
            if options.command == "bench":
                return bench.run(kubectl, view, options.rollouts)
            return up(kubectl, view)
    except (ClusterError, DemoError) as error:
        view.close()
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        view.close()
        print("interrupted; `make demo` begins anew, `make demo-down` cleans up", file=sys.stderr)
        return 130


def prepare(choice: Choice, view: View) -> Kubectl:
    """Cluster, images, and all that the models need to be served and judged. Running it again is fine."""
    built = (bin_dir() / "kube-apiserver").exists()
    first = "" if built else " The first time builds Kubernetes itself, about thirteen minutes on two cores."
    view.note(
        "this brings up a cluster, builds Fairlead's images, installs the operator by its chart with object "
        f"storage and Prometheus, and rolls out three versions of a model under load.{first}"
    )
    programs = ensure(progress=view.note)
    began = time.monotonic()
    choice.cluster.up()
    view.note(f"cluster ready after {time.monotonic() - began:.0f} s")
    images.load_all(choice.cluster, view.note)
    kubectl = Kubectl(choice.cluster.kubeconfig(), programs, environment.NAMESPACE)
    environment.fresh_namespace(kubectl)
    credentials = environment.start_services(kubectl)
    environment.install_operator(kubectl)
    with tempfile.TemporaryDirectory(prefix="fairlead-demo-") as folder:
        trained = models.train_all(Path(folder))
        kubectl.rollout_status("s3", "prometheus")
        for model in trained:
            environment.upload(kubectl, credentials, model.folder, f"{environment.MODEL}/{model.version}")
            errors = f", an error for {model.errors:.1%}" if model.errors else ""
            view.note(f"version {model.version} trained and stored: {model.right:.1%} of held-out scans right{errors}")
    environment.wait_for_operator(kubectl)
    view.note("operator installed")
    return kubectl


def up(kubectl: Kubectl, view: View) -> int:
    """The story, from version 1 to the summary."""
    with ExitStack() as stack:
        watcher = stack.enter_context(Watcher(kubectl, environment.MODEL))
        stage = story.Stage(kubectl, watcher, view)
        story.serve_first(stage)
        environment.start_load(kubectl, models.Scans.load().requests())
        stage.load = stack.enter_context(LoadReader(kubectl))
        acts = [
            story.watch_on(stage, story.BASELINE_SECONDS, "version 1 serves"),
            story.roll_out(stage, "2", story.PROMOTION_SECONDS, "version 2, better, is promoted"),
            story.roll_out(stage, "3", story.ROLLBACK_SECONDS, "version 3, worse, is rolled back"),
            story.watch_on(stage, story.AFTERMATH_SECONDS, "version 2 serves on"),
        ]
        seen = watcher.snapshot()
        view.close()
        environment.stop_load(kubectl)
        rollouts = [seen.rollout(version) for version in VERSIONS[1:]]
        checks = [
            *promise.promotion(acts[1], rollouts[0], seen.pods.values()),
            *promise.rollback(rollouts[1], seen.stable_version),
            promise.quiet(acts[3]),
        ]
    for line in summary.lines(acts, rollouts, checks):
        print(line)
    print(f"\n$ kubectl get mdep,mro\n{kubectl.run('get', 'mdep,mro')}")
    print(f"reports:     {' '.join(map(str, summary.reports(rollouts)))}")
    print(f"look around: export KUBECONFIG={kubectl.kubeconfig}; kubectl -n {kubectl.namespace} get mro -o yaml")
    print("clean up:    make demo-down")
    return 0 if all(check.kept for check in checks) else 1


def down(choice: Choice, view: View) -> int:
    """Take the demo away, and the cluster if it was made for it."""
    if choice.cluster.name == "existing":
        kubectl = Kubectl(choice.cluster.kubeconfig(), ensure(("kubectl", "helm"), view.note), environment.NAMESPACE)
        kubectl.run("delete", "namespace", environment.NAMESPACE, "--ignore-not-found", "--timeout=120s", limit=150)
        where = environment.OPERATOR_NAMESPACE
        kubectl.helm("uninstall", environment.RELEASE, "--ignore-not-found", namespace=where)
        view.note("the demo is gone; the custom resource definitions stay, as an uninstall leaves them")
    choice.cluster.down()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m examples.demo", description="Fairlead's promise on a real cluster."
    )
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument("--provider", help="native, kind or existing (default: $FAIRLEAD_CLUSTER, else what is there)")
    where.add_argument("--context", help="kubeconfig context of an existing cluster")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", parents=[where], help="the whole story")
    commands.add_parser("down", parents=[where], help="clean up")
    benched = commands.add_parser("bench", parents=[where], help="rollouts of equally good versions: none may fail")
    benched.add_argument("--rollouts", type=int, default=20)
    return parser


if __name__ == "__main__":
    sys.exit(main())
