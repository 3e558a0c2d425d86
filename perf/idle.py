"""What an idle client costs: many keep-alive clients send a request each at the same moment, read their answers and stay."""

import os
import resource
import selectors
import socket
import ssl
import sys
import time
from pathlib import Path

import handshakes
import rig

REQUEST = b"GET / HTTP/1.1\r\nHost: idle.test\r\n\r\n"
SETTLE = 5  # seconds in which a proxy may put away what it used
PATIENCE = 30  # seconds for all answers
CGROUPS = Path("/sys/fs/cgroup")


def measure(bench, name, make, count, at_once, tls=False):
    """Memory of one proxy before its clients come and while they are idle; it has ended when this returns. Clients ask all at
    once, or each as soon as it is connected, one after the other."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 2 * count + 500:
        sys.exit(f"{2 * count + 500} open files are needed (ulimit -n)")
    proxy = make(bench, f"idle {name} {at_once}", bench.backend_port, tls=tls)
    context = handshakes.context() if tls else None
    cgroup = Cgroup(proxy.process.pid)
    try:
        ask(connect_all(proxy.port, 1, context))  # what is loaded with the first request is not a client's cost
        time.sleep(1)
        before = memory(proxy, cgroup)
        if at_once:
            clients = connect_all(proxy.port, count, context)
            answers = ask(clients)
        else:
            clients, answers = [], 0
            for i in range(count):
                clients += connect_all(proxy.port, 1, context, i)
                answers += ask(clients[-1:])
        time.sleep(SETTLE)
        after = memory(proxy, cgroup)
        closed = sum(is_closed(client) for client in clients)
        for client in clients:
            client.close()
    finally:
        bench.running.remove(proxy.process)
        proxy.process.terminate()
        proxy.process.wait(40)
        cgroup.remove()
    print(f"  idle: {name}, {'at once' if at_once else 'one by one'}: {(after['Rss'] - before['Rss']) / count:,.0f} bytes each", file=sys.stderr)
    return {"before": before, "after": after, "answers": answers, "closed": closed}


def memory(proxy, cgroup):
    return rig.memory(proxy.process.pid) | {"kernel": rig.kernel_memory(), "cgroup": cgroup.bytes()}


def connect_all(port, count, context=None, first=0):
    """Connections from many loopback addresses, so that ports suffice; with a context they have made their handshake."""
    clients = []
    for i in range(first, first + count):
        client = socket.create_connection(("127.0.0.1", port), 10, source_address=(f"127.0.0.{2 + i % 200}", 0))
        clients.append(context.wrap_socket(client, server_hostname="perf.test") if context else client)
        clients[-1].setblocking(False)
    return clients


def ask(clients):
    """Writes all requests, then reads the answers; how many came whole."""
    for client in clients:
        client.send(REQUEST)
    poll, answers, deadline = selectors.DefaultSelector(), 0, time.monotonic() + PATIENCE
    heads = {client: b"" for client in clients}
    for client in clients:
        poll.register(client, selectors.EVENT_READ)
    while heads and time.monotonic() < deadline:
        for key, _ in poll.select(1):
            client = key.fileobj
            try:
                piece = client.recv(4096)
            except ssl.SSLWantReadError:
                continue  # a session ticket
            except OSError:
                piece = b""
            heads[client] += piece
            head, end, body = heads[client].partition(b"\r\n\r\n")
            if not piece or (end and len(body) >= 128):
                answers += head.startswith(b"HTTP/1.1 200")
                poll.unregister(client)
                del heads[client]
    poll.close()
    return answers


def is_closed(client):
    try:
        return client.recv(1) == b""
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    except OSError:
        return True


class Cgroup:
    """A cgroup (version 2) of the proxy's own, where root may make one; else its figure is None. What the kernel takes for the
    proxy's sockets is in it, as far as the proxy's own calls caused it."""

    def __init__(self, pid):
        self.path = None
        controllers = CGROUPS / "cgroup.subtree_control"
        if os.geteuid() == 0 and controllers.exists() and "memory" in controllers.read_text().split():
            path = CGROUPS / f"ringgate-perf-{os.getpid()}"
            try:
                path.mkdir()
                self.path = path
                for each in [pid, *rig.children(pid)]:
                    (path / "cgroup.procs").write_text(str(each))
            except OSError:
                self.remove()

    def bytes(self):
        return int((self.path / "memory.current").read_text()) if self.path else None

    def remove(self):
        if self.path:
            try:
                self.path.rmdir()
            except OSError as error:
                print(f"{self.path} stays: {error}", file=sys.stderr)
            self.path = None
