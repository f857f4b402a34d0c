"""A small origin server in a process of its own, for tests that compare what a client saw with what the server did.

``python origin_program.py [CERTIFICATE KEY]`` prints its port.  A path's query says what to do: `think` (ms before the answer), `gap` (ms between head and
body), `n` (body bytes), `part` (of them sent before a pause of `stall` ms), `redirect` (to what), `leave` (close after the answer, without saying so).  The head tells when the request had been read and when the
head was handed to the socket (`X-Received`, `X-Begun`), the body's last 20 bytes when the body was; all of ``perf_counter_ns``, the machine's one clock.
"""

import asyncio
import ssl
import sys
import time
from urllib.parse import parse_qsl, urlsplit

STAMP_BYTES = 20
now = time.perf_counter_ns


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            received = now()
            asked = dict(parse_qsl(urlsplit(head.split()[1].decode()).query))
            await asyncio.sleep(float(asked.get("think", 0)) / 1e3)
            length = max(STAMP_BYTES, int(asked.get("n", 0)))
            moved = f"Location: {asked['redirect']}\r\n" if "redirect" in asked else ""
            status = "302 Found" if moved else "200 OK"
            body = b"x" * (length - STAMP_BYTES)
            text = f"HTTP/1.1 {status}\r\n{moved}Content-Length: {length}\r\nX-Received: {received}\r\nX-Begun: {now()}\r\n\r\n".encode()
            if "gap" in asked:
                writer.write(text)
                await asyncio.sleep(float(asked["gap"]) / 1e3)
                text = b""
            if "stall" in asked:
                part = int(asked["part"])
                writer.write(text + body[:part])
                await asyncio.sleep(float(asked["stall"]) / 1e3)
                text, body = b"", body[part:]
            writer.write(text + body + f"{now():{STAMP_BYTES}d}".encode())
            await writer.drain()
            if "leave" in asked:
                return
    except (asyncio.IncompleteReadError, OSError):
        pass
    finally:
        writer.close()


async def main() -> None:
    """Serve until killed."""
    context = None
    if len(sys.argv) > 1:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(sys.argv[1], sys.argv[2])
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
