"""The clients of perf/soak: each loops over one kind of behaviour until it is told to stop. What arrives is checked; what is cut
must be seen as cut."""

import asyncio
import collections
import json
import random
import signal
import sys

from websockets.asyncio.client import connect as websocket_connect
from websockets.exceptions import WebSocketException

from soak_backend import BLOCK, piece, read_body, read_head, reset, write_body

counts = collections.Counter()
KINDS = {}


def kind(many):
    """Registers a behaviour that so many clients follow at a time."""
    return lambda act: KINDS.setdefault(act.__name__, (act, many))[0]


def size():
    """From nothing to 8 MiB, small ones more often."""
    return int(2 ** random.uniform(0, 23))


def get(target):
    return f"GET {target} HTTP/1.1\r\nHost: soak\r\n\r\n".encode()


async def leave(writer):
    """In order or not."""
    if random.random() < 0.5:
        reset(writer)
    else:
        writer.close()


async def answer(reader, length, pause=0.0):
    """Reads an answer. One of ringgate's own, or a cut, ends the connection; wrong bytes are a failure."""
    head = await read_head(reader)
    if head is None:
        return False
    (_, status, *_), fields = head
    if status != "200":
        counts[f"answer {status}"] += 1
        await reader.readexactly(int(fields.get("content-length", 0)))
        return fields.get("connection") != "close"
    got = await read_body(reader, fields, pause)
    counts["WRONG" if got != length else "whole"] += 1
    return fields.get("connection") != "close"


@kind(40)
async def small(reader, writer):
    for _ in range(random.randrange(1, 200)):
        together = random.choice([1, 1, 1, 8])
        writer.write(get("/fixed/128") * together)
        for _ in range(together):
            if not await answer(reader, 128):
                return
    await leave(writer)


@kind(8)
async def downloads(reader, writer):
    for _ in range(random.randrange(1, 8)):
        length = size()
        writer.write(get(f"/{random.choice(['fixed', 'chunked'])}/{length}"))
        if not await answer(reader, length):
            return
    await leave(writer)


@kind(8)
async def uploads(reader, writer):
    for _ in range(random.randrange(1, 8)):
        length, chunked = size(), random.random() < 0.5
        field = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {length}"
        writer.write(f"POST / HTTP/1.1\r\nHost: soak\r\n{field}\r\n\r\n".encode())
        stop_at = random.randrange(length) if length and random.random() < 0.2 else None
        if not await write_body(writer, length, chunked, 0, stop_at):
            return await leave(writer)
        head = await read_head(reader)
        if head is None or head[0][1] != "200":
            return
        text = await reader.readexactly(int(head[1]["content-length"]))
        counts["whole" if text == b"%d" % length else "WRONG"] += 1
    await leave(writer)


@kind(8)
async def cut_answers(reader, writer):
    """The backend stops in the middle: only a whole body of length N may be taken as one."""
    length = size()
    writer.write(get(f"/die/{length}"))
    await answer(reader, length)


@kind(8)
async def quitters(reader, writer):
    """Leave in the middle of an answer."""
    length = size() + 100_000
    writer.write(get(f"/{random.choice(['fixed', 'chunked', 'slow'])}/{length}"))
    await reader.readexactly(random.randrange(100_000))
    await leave(writer)


@kind(20)
async def slow_readers(reader, writer):
    length = random.randrange(3_000_000)
    writer.write(get(f"/{random.choice(['fixed', 'chunked'])}/{length}"))
    await answer(reader, length, 0.05)


@kind(20)
async def half_requests(reader, writer):
    """Begin a request, wait, and are gone or cut off."""
    text = b"POST / HTTP/1.1\r\nHost: soak\r\nContent-Length: 5000\r\n\r\n" + bytes(1000)
    writer.write(text[: random.randrange(len(text))])
    try:
        await asyncio.wait_for(reader.read(1000), random.uniform(0, 8))
    except TimeoutError:
        pass
    await leave(writer)


@kind(20)
async def tcp_echoes(reader, writer):
    writer.write(b"echo\n")
    for _ in range(random.randrange(1, 200)):
        data = bytes(piece(random.randrange(BLOCK), random.choice([1, 100, 10_000])))
        writer.write(data)
        counts["whole" if await reader.readexactly(len(data)) == data else "WRONG"] += 1
    if random.random() < 0.5:
        writer.write_eof()
        counts["WRONG"] += len(await reader.read())
    await leave(writer)


@kind(4)
async def tcp_sources(reader, writer):
    length = size()
    writer.write(b"source %d\n" % length)
    stop_at = random.randrange(length) if random.random() < 0.3 and length else length
    got = await read_body(reader, {"content-length": str(stop_at)})
    counts["whole" if got == stop_at else "WRONG"] += 1
    await leave(writer)


@kind(4)
async def tcp_sinks(reader, writer):
    length = size()
    writer.write(b"sink\n")
    stop_at = random.randrange(length) if random.random() < 0.3 and length else None
    if not await write_body(writer, length, False, 0, stop_at):
        return reset(writer)
    writer.write_eof()
    text = await reader.readline()
    if text:
        counts["whole" if int(text) == length else "WRONG"] += 1


async def websockets(port):
    async with websocket_connect(f"ws://127.0.0.1:{port}/ws", compression=None, open_timeout=10) as connection:
        for _ in range(random.randrange(1, 100)):
            message = bytes(piece(random.randrange(BLOCK), random.choice([10, 1000, 200_000])))
            await connection.send(message)
            counts["whole" if await connection.recv() == message else "WRONG"] += 1
            await asyncio.sleep(random.choice([0, 0, 0.2]))
        if random.random() < 0.5:
            connection.transport.abort()


async def loop(act, name, http_port, tcp_port):
    port = tcp_port if name.startswith("tcp") else http_port
    while True:
        await asyncio.sleep(random.uniform(0, 0.2))
        counts[name] += 1
        writer = None
        try:
            if act is websockets:
                await act(port)
                continue
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=BLOCK)
            # A bound on everything: a session that hangs for so long is a failure.
            async with asyncio.timeout(120):
                await act(reader, writer)
        except TimeoutError:
            counts["HUNG"] += 1
            print(f"hung: {name}", file=sys.stderr)
        except (OSError, asyncio.IncompleteReadError, WebSocketException, EOFError):
            counts["cut"] += 1
        finally:
            if writer:
                writer.close()


async def main():
    http_port, tcp_port = int(sys.argv[1]), int(sys.argv[2])
    acts = [(act, name) for name, (act, many) in KINDS.items() for _ in range(many)]
    acts += [(websockets, "websockets")] * 10
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    tasks = [asyncio.create_task(loop(act, name, http_port, tcp_port)) for act, name in acts]
    await stopped.wait()
    # A client whose own code failed is a failure of the soak.
    failed = [task for task in tasks if task.done()]
    counts["FAILED"] += len(failed)
    for task in failed:
        print(f"failed: {task.exception()!r}", file=sys.stderr)
    print(json.dumps(counts), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
