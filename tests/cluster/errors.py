"""The one error type that a person reads."""

from __future__ import annotations


class ClusterError(Exception):
    """Something the person running the tool can act on, said in one or two sentences.

    The command line prints it without a traceback and ends with status 1.
    """
