"""A backend for uploads: reads each request to the end of its body (Content-Length only), then answers 200 with two bytes."""

import select
import socket
import sys

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Connection:
    def __init__(self, sock):
        self.socket, self.head, self.left = sock, b"", 0

    def receive(self, buffer):
        """Reads what is there; false at the end of the connection."""
        try:
            n = self.socket.recv_into(buffer)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if n == 0:
            return False
        if self.left:
            self.left -= n  # nothing follows a body before its answer
        else:
            self.head += buffer[:n]
            head, end, rest = self.head.partition(b"\r\n\r\n")
            if not end:
                return True
            fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:])
            self.head, self.left = b"", int(fields.get(b"content-length", 0)) - len(rest)
        if self.left <= 0:
            self.socket.send(ANSWER)
            self.left = 0
        return True


def main():
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=4096)
    listener.setblocking(False)
    poll, connections, buffer = select.epoll(), {}, memoryview(bytearray(256 * 1024))
    poll.register(listener, select.EPOLLIN)
    while True:
        for fd, _ in poll.poll():
            if fd == listener.fileno():
                sock = listener.accept()[0]
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connections[sock.fileno()] = Connection(sock)
                poll.register(sock, select.EPOLLIN)
            elif not connections[fd].receive(buffer):
                poll.unregister(fd)
                connections.pop(fd).socket.close()


main()
