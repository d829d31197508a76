"""The Huffman code of HPACK (RFC 7541, appendix B), decoded four bits at a time.

The code is canonical: codes of one length are consecutive numbers in the order of their symbols, and the codes of the
next length go on where they end. So the lengths say it all.
"""

from __future__ import annotations

from typing import Final

# Symbols by the length of their codes in bits, in hexadecimal.
_SYMBOLS: Final = {
    5: "303132616365696f7374",
    6: "20252d2e2f333435363738393d415f62646667686c6d6e707275",
    7: "3a42434445464748494a4b4c4d4e4f5051525354555657596a6b71767778797a",
    8: "262a2c3b585a",
    10: "212228293f",
    11: "272b7c",
    12: "233e",
    13: "0024405b5d7e",
    14: "5e7d",
    15: "3c607b",
    19: "5cc3d0",
    20: "808283a2b8c2e0e2",
    21: "99a1a7acb0b1b3d1d8d9e3e5e6",
    22: "8184858688929a9ca0a3a4a9aaadb2b5b9babbbdbec4c6e4e8e9",
    23: "0187898a8b8c8d8f93959697989b9d9ea5a6a8aeafb4b6b7bcbfc5e7ef",
    24: "098e9091949fabced7e1eced",
    25: "c7cfeaeb",
    26: "c0c1c8c9cacdd2d5dadbeef0f2f3ff",
    27: "cbccd3d4d6dddedff1f4f5f6f7f8fafbfcfdfe",
    28: "020304050607080b0c0e0f1011121314151718191a1b1c1d1e1f7fdcf9",
    30: "0a0d16",
}
_END_OF_STRING: Final = 256
_END_BITS: Final = 30
_NIBBLES: Final = 16
_NIBBLE_BITS: Final = 4
_MAX_PADDING: Final = 7

# A state is a node of the code's tree. For each state and four bits: the next state, and the symbol that came out if
# one did.
_Step = tuple[int, int | None]


def decode(data: bytes) -> bytes:
    """Return what a Huffman-coded string stands for. Raises ValueError where it is not one."""
    steps = _STEPS
    out = bytearray()
    state = 0
    for byte in data:
        state, symbol = steps[state + (byte >> 4)]
        if symbol is not None:
            out.append(symbol)
        state, symbol = steps[state + (byte & 15)]
        if symbol is not None:
            out.append(symbol)
    if state not in _ENDS:
        message = "the Huffman code is not padded as it should be"
        raise ValueError(message)
    return bytes(out)


def _tree() -> list[list[int]]:
    """Return nodes as pairs of what a 0 and a 1 lead to: another node, or ~symbol."""
    lengths = [(bits, symbol) for bits, symbols in _SYMBOLS.items() for symbol in bytes.fromhex(symbols)]
    nodes = [[0, 0]]
    code = before = 0
    for bits, symbol in [*lengths, (_END_BITS, _END_OF_STRING)]:
        code <<= bits - before
        before = bits
        node = 0
        for at in range(bits - 1, 0, -1):
            bit = code >> at & 1
            if not nodes[node][bit]:
                nodes.append([0, 0])
                nodes[node][bit] = len(nodes) - 1
            node = nodes[node][bit]
        nodes[node][code & 1] = ~symbol
        code += 1
    return nodes


def _walk(nodes: list[list[int]], node: int, nibble: int) -> _Step:
    symbol = None
    for at in range(_NIBBLE_BITS - 1, -1, -1):
        node = nodes[node][nibble >> at & 1]
        if node == ~_END_OF_STRING:
            # It must not be in a string; this state has no way out and is no end.
            return len(nodes) * _NIBBLES, None
        if node < 0:
            symbol = ~node
            node = 0
    return node * _NIBBLES, symbol


def _ends(nodes: list[list[int]]) -> frozenset[int]:
    """Return the states in which a string may end: up to seven ones after the last symbol."""
    ends, node = [], 0
    for _ in range(_MAX_PADDING + 1):
        ends.append(node * _NIBBLES)
        node = nodes[node][1]
    return frozenset(ends)


_NODES: Final = _tree()
_DEAD: Final = len(_NODES) * _NIBBLES
_STEPS: Final[list[_Step]] = [
    _walk(_NODES, node, nibble) for node in range(len(_NODES)) for nibble in range(_NIBBLES)
] + [(_DEAD, None)] * _NIBBLES
_ENDS: Final = _ends(_NODES)
