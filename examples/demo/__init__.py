"""The demo: three versions of a model on a real cluster, judged by their own traffic. `python -m examples.demo up`."""
