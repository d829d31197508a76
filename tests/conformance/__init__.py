"""The Open Inference Protocol as other people's clients see it: checks of any server."""
