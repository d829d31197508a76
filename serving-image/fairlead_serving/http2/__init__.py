"""HTTP/2 (RFC 9113) for unary calls, on a bare asyncio Protocol: framing, header compression, flow control, bounds."""
