"""The backend of perf/soak: HTTP, TCP and WebSocket on three ports, with bodies that anyone can check.
Arguments: the three ports. It is killed and started again at any time."""

import asyncio
import random
import socket
import struct
import sys

from websockets.asyncio.server import serve

BLOCK = 1 << 20
PATTERN = random.Random(1).randbytes(BLOCK)
TWICE = memoryview(PATTERN + PATTERN)


def piece(offset, length):
    """Bytes of the endless body that repeats the pattern; at most one block."""
    start = offset % BLOCK
    return TWICE[start : start + min(length, BLOCK)]


def reset(writer):
    """Closes with RST."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def read_head(reader):
    """The first line's words, and the fields; None at the end."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return None
    lines = head[:-4].decode("latin-1").split("\r\n")
    fields = (line.split(":", 1) for line in lines[1:])
    return lines[0].split(" "), {name.lower(): value.strip() for name, value in fields}


async def read_body(reader, fields, pause=0.0):
    """Checks a body against the pattern; its length, or None if it differs."""
    offset, right = 0, True

    async def take(length):
        nonlocal offset, right
        while length > 0:
            got = await reader.read(min(length, 256 * 1024))
            if not got:
                raise asyncio.IncompleteReadError(b"", None)
            right = right and got == piece(offset, len(got))
            offset += len(got)
            length -= len(got)
            if pause:
                await asyncio.sleep(pause)

    if "chunked" in fields.get("transfer-encoding", ""):
        while size := int(await reader.readuntil(b"\r\n"), 16):
            await take(size)
            if await reader.readexactly(2) != b"\r\n":
                right = False
        await reader.readuntil(b"\r\n")
    else:
        await take(int(fields.get("content-length", 0)))
    return offset if right else None


async def write_body(writer, length, chunked, pause=0.0, stop_at=None):
    """Sends the pattern; `False` if it stopped where told."""
    offset, step = 0, random.choice([16 * 1024, 256 * 1024, BLOCK])
    while offset < length:
        if stop_at is not None and offset >= stop_at:
            return False
        data = piece(offset, min(step, length - offset))
        if chunked:
            writer.write(b"%x\r\n" % len(data))
        writer.write(data)
        if chunked:
            writer.write(b"\r\n")
        await writer.drain()
        offset += len(data)
        if pause:
            await asyncio.sleep(pause)
    if chunked:
        writer.write(b"0\r\n\r\n")
    await writer.drain()
    return True


async def http(reader, writer):
    """`/fixed/N`, `/chunked/N`, `/slow/N`, `/die/N`; whatever has a body gets its length."""
    while head := await read_head(reader):
        (method, target, _), fields = head
        if method == "POST":
            length = await read_body(reader, fields)
            text = b"wrong" if length is None else b"%d" % length
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text))
            await writer.drain()
            continue
        _, kind, size = target.split("/")
        size, chunked = int(size), kind in ("chunked", "slow") or (kind == "die" and random.random() < 0.5)
        field = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
        writer.write(f"HTTP/1.1 200 OK\r\n{field}\r\n\r\n".encode())
        stop_at = random.randrange(size + 1) if kind == "die" else None
        if not await write_body(writer, size, chunked, 0.01 if kind == "slow" else 0, stop_at):
            if random.random() < 0.5:
                reset(writer)
            return


async def tcp(reader, writer):
    """The first line says what follows: `echo`, `source N` or `sink`."""
    words = (await reader.readline()).split()
    if words[:1] == [b"echo"]:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    elif words[:1] == [b"source"]:
        await write_body(writer, int(words[1]), False)
    elif words[:1] == [b"sink"]:
        offset = 0
        while data := await reader.read(256 * 1024):
            if data != piece(offset, len(data)):
                offset = -(1 << 60)
            offset += len(data)
        writer.write(b"%d\n" % offset)
        await writer.drain()


def guarded(serve_one):
    """Peers vanish: that ends a connection, not the server."""

    async def run(reader, writer):
        try:
            await serve_one(reader, writer)
        except (OSError, asyncio.IncompleteReadError, ValueError):
            pass
        finally:
            writer.close()

    return run


async def websocket(connection):
    async for message in connection:
        await connection.send(message)


async def main():
    ports = [int(port) for port in sys.argv[1:4]]
    for port, serve_one in zip(ports, (http, tcp)):
        await asyncio.start_server(guarded(serve_one), "127.0.0.1", port, limit=BLOCK, backlog=1024)
    async with serve(websocket, "127.0.0.1", ports[2], compression=None):
        await asyncio.Future()


if __name__ == "__main__":
    import logging

    logging.disable(logging.CRITICAL)
    asyncio.run(main())
