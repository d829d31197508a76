"""HTTP/1.1 on a bare asyncio Protocol."""
