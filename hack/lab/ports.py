"""Ports that are free now and below the range from which outgoing connections take theirs, so they stay free."""

import random
import socket

FIRST, LAST = 18000, 32000


def free_ports(count: int, *, taken: set[int]) -> list[int]:
    """`count` free ports that are not in `taken`."""
    found: list[int] = []
    while len(found) < count:
        port = random.randint(FIRST, LAST)
        if port not in taken and port not in found and is_free(port):
            found.append(port)
    return found


def is_free(port: int) -> bool:
    """Whether a server could listen on the port of the loopback address now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
