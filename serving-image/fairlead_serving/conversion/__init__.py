"""Turning tree and linear models into ONNX, behind a gate: same answers, or the native engine serves.

The conversion runs in a process of its own (`python -m fairlead_serving.conversion`), so that the server never holds
the libraries it takes, cannot be harmed by them, and can give up on them.
"""
