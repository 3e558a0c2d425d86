"""What the measurements share: starting the proxies and the backend, pinning them, loading them, reading CPU times."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "perf" / "results"
TICK = os.sysconf("SC_CLK_TCK")
BODY = "x" * 127 + "\\n"  # 128 bytes as nginx's configuration spells them
CONNECTIONS_MAX = 1024  # kept open to the backend by every proxy: fewer than the load's would measure reconnects

# Printed by wrk when it is done; its usual report rounds.
WRK_REPORT = """
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('{"requests":%d,"us":%d,"errors":%d,"p50_us":%d,"p99_us":%d}\\n', summary.requests,
    summary.duration, e.connect + e.read + e.write + e.status + e.timeout, latency:percentile(50),
    latency:percentile(99)))
end
"""

NGINX = """
daemon off;
worker_processes 1;
worker_rlimit_nofile 65536;
error_log {folder}/error.log;
pid {folder}/nginx.pid;
{user}
events {{ worker_connections 16384; }}
http {{
  access_log off;
  keepalive_requests 100000000;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
{http}
}}
"""

NGINX_HOP = """
  upstream up{port} {{ server 127.0.0.1:{to}; keepalive {kept}; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ proxy_pass http://up{port}; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
"""

NGINX_BACKEND = """
  server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 200 "{body}"; }} }}
  server {{ listen 127.0.0.1:{status}; location / {{ stub_status; }} }}
"""

RINGGATE = """
workers = 1
admin = "off"
keepalive_requests = 100000000
"""

RINGGATE_HOP = """
[upstream.up{port}]
keepalive = {kept}
server = "127.0.0.1:{to}"
[[server]]
listen = "127.0.0.1:{port}"
[server.location."/"]
proxy_pass = "http://up{port}"
"""


def need(*programs):
    """Ends with a plain word when a program is missing."""
    for program in programs:
        if not find(program):
            sys.exit(f"{program} is needed and not installed (apt-get install nginx wrk linux-perf binutils)")


def find(program):
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def two_cpus():
    """One CPU for the proxy, one for load and backend."""
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        sys.exit("two CPUs are needed: one for the proxy, one for load and backend")
    return cpus[1], cpus[0]


def free_ports(count):
    """Ports that nobody listens on now."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


class Rig:
    """All processes of a measurement; they end with it."""

    def __init__(self, proxy_cpu, load_cpu):
        self.proxy_cpu, self.load_cpu = proxy_cpu, load_cpu
        self.folder = Path(tempfile.mkdtemp(prefix="ringgate-perf-"))
        self.folder.chmod(0o755)
        self.running = []
        self.wrk_report = self.folder / "report.lua"
        self.wrk_report.write_text(WRK_REPORT)
        self.backend_port, self.status_port = free_ports(2)
        text = NGINX_BACKEND.format(port=self.backend_port, status=self.status_port, body=BODY)
        self.backend = self.start_nginx("backend", text, self.backend_port, load_cpu)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.running:
            process.send_signal(signal.SIGTERM)
        for process in self.running:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, name, command, port, cpu):
        """Starts a server on one CPU and waits until it listens."""
        log = self.folder / f"{name}.out"
        with log.open("w") as out:
            # The mask is set before the program begins, so that it is what the program sees.
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, preexec_fn=lambda: os.sched_setaffinity(0, {cpu})
            )
        self.running.append(process)
        for _ in range(200):
            if process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return process
            except OSError:
                time.sleep(0.05)
        sys.exit(f"{name} does not listen:\n{log.read_text()}")

    def start_nginx(self, name, http, port, cpu):
        folder = self.folder / name
        folder.mkdir(mode=0o755)
        file = folder / "nginx.conf"
        user = "user root;" if os.geteuid() == 0 else ""
        file.write_text(NGINX.format(folder=folder, user=user, http=http))
        return self.start(name, [find("nginx"), "-p", str(folder), "-c", str(file)], port, cpu)

    def proxy_nginx(self, name, hops):
        chain = self.chain(hops)
        http = "".join(NGINX_HOP.format(port=port, to=to, kept=CONNECTIONS_MAX) for port, to in chain)
        return self.start_nginx(name, http, chain[0][0], self.proxy_cpu), chain[0][0]

    def proxy_ringgate(self, name, hops, binary):
        chain = self.chain(hops)
        file = self.folder / f"{name}.toml"
        file.write_text(RINGGATE + "".join(RINGGATE_HOP.format(port=p, to=to, kept=CONNECTIONS_MAX) for p, to in chain))
        process = self.start(name, [str(binary), "run", "-c", str(file)], chain[0][0], self.proxy_cpu)
        return process, chain[0][0]

    def chain(self, hops):
        """(own port, next port) of each hop; the last leads to the backend."""
        ports = free_ports(hops) + [self.backend_port]
        return list(zip(ports, ports[1:]))

    def load_command(self, port, connections, seconds):
        command = ["taskset", "-c", str(self.load_cpu), find("wrk"), "-t", "1", "-c", str(connections)]
        return command + ["-d", f"{seconds}s", "-s", str(self.wrk_report), f"http://127.0.0.1:{port}/"]

    def load(self, port, connections, seconds):
        """One run of wrk: what it counted, and its own CPU seconds."""
        before = os.times()
        done = subprocess.run(self.load_command(port, connections, seconds), capture_output=True, text=True, check=True)
        after = os.times()
        report = json.loads(done.stdout.strip().splitlines()[-1])
        report["wrk_cpu"] = after.children_user - before.children_user + after.children_system - before.children_system
        return report

    def backend_accepts(self):
        """Connections that the backend ever took."""
        with socket.create_connection(("127.0.0.1", self.status_port), 5) as s:
            s.sendall(b"GET / HTTP/1.0\r\n\r\n")
            answer = b""
            while piece := s.recv(4096):
                answer += piece
        return int(answer.split(b"\r\n\r\n")[1].splitlines()[2].split()[0])


def cpu_seconds(pid):
    """(user, system) of a process and its children that run (nginx's worker), all threads of each, ended ones too."""
    user = system = 0
    for each in [pid, *children(pid)]:
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        user, system = user + int(fields[11]), system + int(fields[12])
    return user / TICK, system / TICK


def children(pid):
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return found


def machine_busy():
    """(CPU seconds not idle on all CPUs together, those stolen by the hypervisor)."""
    fields = [int(n) for n in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = fields
    return (user + nice + system + irq + softirq) / TICK, steal / TICK


def binary(build):
    """The release binary, built first unless told otherwise."""
    if build:
        subprocess.run(["cargo", "build", "--release", "--locked"], cwd=ROOT, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return target / "release" / "ringgate"


def machine():
    """What the figures were measured on."""
    model = [line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    version = lambda *command: subprocess.run(command, capture_output=True, text=True).stderr.strip()
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    return {
        "cpus": len(model),
        "cpu": model[0] if model else "unknown",
        "kernel": os.uname().release,
        "nginx": version(find("nginx"), "-v").rpartition("/")[2],
        "ringgate": commit,
    }
