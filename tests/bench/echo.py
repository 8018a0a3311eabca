"""The other end of a limit: ``python -m tests.bench.echo unix FD`` or ``... websocket CERTIFICATE``.

The WebSocket server answers short frames with themselves and drops long ones, but for an empty one behind them; it
prints its port.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys

from websockets.asyncio.server import ServerConnection, serve

SHORT = 1000


def echo_unix(descriptor: int) -> None:
    """Send back whatever comes, until the other end has closed."""
    with socket.socket(fileno=descriptor) as connection:
        while data := connection.recv(4096):
            connection.sendall(data)


async def echo_websocket(certificate: str) -> None:
    """Serve until killed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    async def answer(connection: ServerConnection) -> None:
        async for frame in connection:
            if len(frame) < SHORT:
                await connection.send(frame)

    async with serve(answer, "127.0.0.1", 0, ssl=context, compression=None, max_size=None) as server:
        sys.stdout.write(f"{next(iter(server.sockets)).getsockname()[1]}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    if sys.argv[1] == "unix":
        echo_unix(int(sys.argv[2]))
    else:
        asyncio.run(echo_websocket(sys.argv[2]))
