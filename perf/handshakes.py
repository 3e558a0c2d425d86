"""A load of new TLS connections: each makes a full handshake (nothing is resumed), sends one request, reads its answer and leaves.
`handshakes.py PORT CONNECTIONS SECONDS`; prints what it did as JSON, in wrk's words."""

import json
import selectors
import socket
import ssl
import sys
import time

REQUEST = b"GET / HTTP/1.1\r\nHost: perf.test\r\nConnection: close\r\n\r\n"
BODY = 128  # bytes of each answer


def context():
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False  # what is measured is the server
    made.verify_mode = ssl.CERT_NONE
    return made


class Connection:
    """One after the other: `turn` goes on as far as it can, and is true when the answer is there."""

    def __init__(self, port, tls):
        self.began = time.monotonic()
        self.socket = tls.wrap_socket(socket.create_connection(("127.0.0.1", port), 10), server_hostname="perf.test", do_handshake_on_connect=False)
        self.socket.setblocking(False)
        self.asked, self.answer = False, b""

    def turn(self):
        try:
            if not self.asked:
                self.socket.do_handshake()
                if self.socket.session_reused:
                    raise OSError("a session was resumed")
                self.socket.send(REQUEST)
                self.asked = True
            while piece := self.socket.recv(16384):
                self.answer += piece
                if len(self.answer.partition(b"\r\n\r\n")[2]) >= BODY:
                    return True
        except ssl.SSLWantReadError:
            return False
        raise OSError("the server closed before its answer was complete")


def main():
    port, count, seconds = (int(word) for word in sys.argv[1:])
    tls, poll, times, errors = context(), selectors.EpollSelector(), [], 0
    began = time.monotonic()
    until = began + seconds

    def start():
        connection = Connection(port, tls)
        poll.register(connection.socket, selectors.EVENT_READ, connection)
        go_on(connection)

    def go_on(connection):
        nonlocal errors
        try:
            if not connection.turn():
                return
            good = connection.answer.startswith(b"HTTP/1.1 200")
        except OSError as error:
            print(error, file=sys.stderr)
            good = False
        errors += not good
        times.append(time.monotonic() - connection.began)
        poll.unregister(connection.socket)
        connection.socket.close()

    for _ in range(count):
        start()
    while time.monotonic() < until:
        for key, _ in poll.select(0.1):
            go_on(key.data)
        while len(poll.get_map()) < count:
            start()
    us = int((time.monotonic() - began) * 1e6)
    times.sort()
    at = lambda share: int(times[int(len(times) * share)] * 1e6) if times else 0
    print(json.dumps({"requests": len(times) - errors, "us": us, "errors": errors, "p50_us": at(0.5), "p99_us": at(0.99)}))


if __name__ == "__main__":
    main()
