"""HTTP routes of a model's own: an ASGI 3 application beside inference, on the same port and event loop."""
