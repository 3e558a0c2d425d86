"""What the measurements share: starting backends and proxies, pinning them, loading them, reading CPU times and memory."""

import json
import os
import re
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
CONGESTION = Path("/proc/sys/net/ipv4/tcp_congestion_control")
MIB = 1024 * 1024
SMALL = "x" * 127 + "\\n"  # 128 bytes as nginx's configuration spells them

# Printed by wrk when it is done; its usual report rounds.
WRK_REPORT = """
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('{"requests":%d,"us":%d,"errors":%d,"p50_us":%d,"p99_us":%d}\\n', summary.requests,
    summary.duration, e.connect + e.read + e.write + e.status + e.timeout, latency:percentile(50),
    latency:percentile(99)))
end
"""
WRK_GZIP = 'wrk.headers["Accept-Encoding"] = "gzip"\n'
WRK_UPLOAD = 'wrk.method = "POST"\nwrk.body = string.rep("x", 1048576)\n'

NGINX = """
{modules}
daemon off;
worker_processes 1;
worker_rlimit_nofile {files};
error_log {folder}/error.log;
pid {folder}/nginx.pid;
{user}
events {{ worker_connections {files}; multi_accept on; }}
{services}
"""

NGINX_HTTP = """
http {{
  access_log off;
  keepalive_requests 100000000;
  keepalive_timeout 1h;
  client_max_body_size 0;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
{http}
}}
"""

NGINX_BACKEND = """
  open_file_cache max=100;
  sendfile {sendfile};
  output_buffers 2 128k;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = / {{ return 200 "{body}"; }}
    location / {{ root {files}; }}
  }}
  server {{ listen 127.0.0.1:{status}; location / {{ stub_status; }} }}
"""


def own_network(congestion):
    """Goes on in a network namespace of its own, where TCP's congestion control is this one (root). The machine's stays as it is."""
    if CONGESTION.read_text().strip() == congestion:
        return
    if os.environ.get("RINGGATE_PERF_NETWORK"):
        sys.exit(f"this kernel lets a network namespace not choose {congestion}; reno it always does")
    need("unshare", "ip")
    os.environ["RINGGATE_PERF_NETWORK"] = "own"
    setup = f"ip link set lo up && echo {congestion} > {CONGESTION}; exec \"$@\""
    os.execvp("unshare", ["unshare", "--net", "sh", "-c", setup, "sh", sys.executable, *sys.argv])


def need(*programs):
    """Ends with a plain word when a program is missing."""
    for program in programs:
        if not find(program):
            sys.exit(f"{program} is needed and not installed; perf/README.md says where to get it")


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


def files_max():
    """Open files that every process here may have: our own hard limit, up to a bound that nobody needs more of."""
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    return files


class Rig:
    """All processes of a measurement; they end with it."""

    def __init__(self, proxy_cpus, load_cpus, copying_backend=False):
        as_set = lambda cpus: {cpus} if isinstance(cpus, int) else set(cpus)
        self.proxy_cpus, self.load_cpus = as_set(proxy_cpus), as_set(load_cpus)
        self.folder = Path(tempfile.mkdtemp(prefix="ringgate-perf-"))
        self.folder.chmod(0o755)
        self.running = []
        self.files = files_max()
        self.bodies = self.folder / "bodies"
        self.bodies.mkdir(mode=0o755)
        # Logs are not to wait for a disk.
        shared = Path("/dev/shm")
        self.logs = Path(tempfile.mkdtemp(prefix="ringgate-perf-", dir=shared if os.access(shared, os.W_OK) else None))
        self.scripts = {name: self.folder / f"{name}.lua" for name in ("get", "gzip", "upload")}
        self.scripts["get"].write_text(WRK_REPORT)
        self.scripts["gzip"].write_text(WRK_GZIP + WRK_REPORT)
        self.scripts["upload"].write_text(WRK_UPLOAD + WRK_REPORT)
        self.backend_port, self.status_port = free_ports(2)
        http = NGINX_BACKEND.format(port=self.backend_port, status=self.status_port, body=SMALL, files=self.bodies,
                                    sendfile="off" if copying_backend else "on")
        self.backend = self.start_nginx("backend", self.backend_port, self.load_cpus, http=http)
        self.sink = None

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
                process.wait()
        for folder in (self.folder, self.logs):
            shutil.rmtree(folder, ignore_errors=True)

    def start(self, name, command, port, cpus):
        """Starts a server on its CPUs and waits until it listens."""
        log = self.folder / f"{name}.out"
        with log.open("w") as out:
            # The mask is set before the program begins, so that it is what the program sees.
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, preexec_fn=lambda: os.sched_setaffinity(0, cpus)
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

    def start_nginx(self, name, port, cpus, http="", stream=""):
        folder = self.folder / name
        folder.mkdir(mode=0o755)
        services = NGINX_HTTP.format(folder=folder, http=http) if http else ""
        modules = ""
        if stream:
            services += f"stream {{\n{stream}\n}}\n"
            modules = "load_module /usr/lib/nginx/modules/ngx_stream_module.so;"
        file = folder / "nginx.conf"
        user = "user root;" if os.geteuid() == 0 else ""
        file.write_text(NGINX.format(folder=folder, user=user, services=services, modules=modules, files=self.files))
        return self.start(name, [find("nginx"), "-p", str(folder), "-c", str(file)], port, cpus)

    def start_sink(self):
        """The backend that reads whole request bodies before it answers; its port."""
        if not self.sink:
            port = free_ports(1)[0]
            self.sink = (self.start("sink", [sys.executable, str(ROOT / "perf/sink.py"), str(port)], port, self.load_cpus), port)
        return self.sink[1]

    def body(self, size):
        """The path under which the backend answers with so many bytes."""
        file = self.bodies / str(size)
        if not file.exists():
            file.write_bytes(os.urandom(size))
            file.chmod(0o644)
        return f"/{size}"

    def text(self, size):
        """The same with text that can be compressed to a sixth."""
        file = self.bodies / f"{size}.txt"
        if not file.exists():
            digits = os.urandom(size).hex()
            line = lambda at: f"{digits[at:at + 8]} a line of some text, most of which comes again: {digits[at + 8:at + 12]}\n"
            file.write_text("".join(line(at) for at in range(0, size, 12))[:size])
            file.chmod(0o644)
        return f"/{file.name}"

    def log(self, name):
        """Where a contender writes what it answered."""
        return self.logs / f"{name.replace(' ', '-')}.log"

    def logged(self, name, requests):
        """Lines in that log, once all are there or two seconds are over; then it is emptied."""
        file, deadline = self.log(name), time.monotonic() + 2
        while (lines := file.read_bytes().count(b"\n")) < requests and time.monotonic() < deadline:
            time.sleep(0.1)
        os.truncate(file, 0)
        return lines

    def certificate(self):
        """A certificate with a P-256 key, the same for all contenders: (chain, key, both in one file)."""
        chain, key, both = (self.folder / f"tls.{ending}" for ending in ("crt", "key", "pem"))
        if not both.exists():
            command = [find("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                       "-subj", "/CN=perf.test", "-addext", "subjectAltName=DNS:perf.test,IP:127.0.0.1", "-keyout", str(key), "-out", str(chain)]
            subprocess.run(command, capture_output=True, check=True)
            both.write_text(chain.read_text() + key.read_text())
        return chain, key, both

    def load_command(self, port, connections, seconds, path="/", script="get", scheme="http"):
        cpus = ",".join(str(cpu) for cpu in sorted(self.load_cpus))
        if script == "handshake":
            return ["taskset", "-c", cpus, sys.executable, str(ROOT / "perf/handshakes.py"), str(port), str(connections), str(seconds)]
        # wrk gives each thread the same number of connections, and forgets the rest.
        threads = max(n for n in range(1, len(self.load_cpus) + 1) if connections % n == 0)
        command = ["taskset", "-c", cpus, find("wrk"), "-t", str(threads), "-c", str(connections)]
        return command + ["-d", f"{seconds}s", "-s", str(self.scripts[script]), f"{scheme}://127.0.0.1:{port}{path}"]

    def load(self, port, connections, seconds, path="/", script="get", scheme="http"):
        """One run of wrk (or of the script named `handshake`): what it counted, and its own CPU seconds."""
        before = os.times()
        command = self.load_command(port, connections, seconds, path, script, scheme)
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        after = os.times()
        report = json.loads(done.stdout.strip().splitlines()[-1])
        report["own_cpu"] = after.children_user - before.children_user + after.children_system - before.children_system
        return report

    def latency(self, port, connections, seconds, rate=None):
        """One run of oha, at a fixed rate with latency correction or as fast as it can."""
        command = ["taskset", "-c", str(min(self.load_cpus)), find("oha"), "--no-tui", "--output-format", "json", "--worker-threads", "1",
                   "-z", f"{seconds}s", "-c", str(connections), "--disable-compression"]
        if rate:
            command += ["-q", str(rate), "--latency-correction"]
        before = os.times()
        done = subprocess.run(command + [f"http://127.0.0.1:{port}/"], capture_output=True, text=True, check=True)
        after = os.times()
        report = json.loads(done.stdout)
        us = lambda name: (report["latencyPercentiles"][name] or 0) * 1e6
        # Requests under way at the deadline are no errors.
        errors = sum(n for what, n in report["errorDistribution"].items() if "deadline" not in what)
        requests = sum(report["statusCodeDistribution"].values())
        bad = requests - report["statusCodeDistribution"].get("200", 0)
        return {"requests": requests, "us": report["summary"]["total"] * 1e6, "errors": errors + bad,
                "p50_us": us("p50"), "p99_us": us("p99"), "p99.9_us": us("p99.9"),
                "own_cpu": after.children_user - before.children_user + after.children_system - before.children_system}

    def backend_cpu(self):
        return sum(cpu_seconds(self.backend.pid)) + (sum(cpu_seconds(self.sink[0].pid)) if self.sink else 0)

    def backend_accepts(self):
        """Connections that the backend ever took."""
        with socket.create_connection(("127.0.0.1", self.status_port), 5) as s:
            s.sendall(b"GET / HTTP/1.0\r\n\r\n")
            answer = b""
            while piece := s.recv(4096):
                answer += piece
        return int(answer.split(b"\r\n\r\n")[1].splitlines()[2].split()[0])

    def sample(self, process, run):
        """What `run` (a load) counted, with what the proxy, and everybody else on the machine, took meanwhile."""
        accepts = self.backend_accepts()
        user0, system0 = cpu_seconds(process.pid)
        backend0 = self.backend_cpu()
        (busy0, steal0), began = machine_busy(), time.monotonic()
        load = run()
        (busy1, steal1), took = machine_busy(), time.monotonic() - began
        user1, system1 = cpu_seconds(process.pid)
        backend = self.backend_cpu() - backend0
        user, system = user1 - user0, system1 - system0
        threads = ring_threads(process.pid)
        return load | {
            "user_s": user,
            "cpu_s": user + system,
            "peers_s": backend + load["own_cpu"],  # of the load and the backend
            "per_second": load["requests"] * 1e6 / load["us"],
            "busy": (user + system) / took,
            "others": max(0.0, busy1 - busy0 - user - system - backend - load["own_cpu"]) / took,
            "steal": (steal1 - steal0) / took,
            "ring_threads": threads[0],
            "control_ring_threads": threads[1],
            "new_backend_connections": self.backend_accepts() - accepts - 1,
        }


def tls_of(port):
    """What a client with Python's defaults agrees on with this port, in a few words."""
    import handshakes

    with handshakes.context().wrap_socket(socket.create_connection(("127.0.0.1", port), 5), server_hostname="perf.test") as s:
        return f"{s.version()} {s.cipher()[0]}"


def coding_of(port, path):
    """What a client that takes gzip gets."""
    from urllib.request import Request, urlopen

    with urlopen(Request(f"http://127.0.0.1:{port}{path}", headers={"Accept-Encoding": "gzip"}), timeout=5) as answer:
        return f"{answer.headers['Content-Encoding']}, {len(answer.read()):,} bytes"


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


def ring_threads(pid):
    """Kernel threads that io_uring started because an operation could not be done without waiting: (for the workers' rings, for
    that of the main thread, which writes files)."""
    owners = [name.rpartition("-")[2] for task in Path(f"/proc/{pid}/task").iterdir() if (name := (task / "comm").read_text().strip()).startswith("iou-wrk-")]
    control = owners.count(str(pid))
    return len(owners) - control, control


def memory(pid):
    """Resident, proportional and anonymous bytes of a process and its children."""
    sums = {"Rss": 0, "Pss": 0, "Anonymous": 0}
    for each in [pid, *children(pid)]:
        text = Path(f"/proc/{each}/smaps_rollup").read_text()
        for key in sums:
            sums[key] += int(re.search(rf"^{key}:\s+(\d+) kB", text, re.M)[1]) * 1024
    return sums


def kernel_memory():
    """Bytes that the kernel uses for itself on the whole machine: sockets, polls, page tables."""
    fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return sum(int(fields[key].split()[0]) * 1024 for key in ("Slab", "PageTables", "KernelStack"))


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

    def version(pattern, *command):
        if not find(command[0]):
            return "absent"
        done = subprocess.run([find(command[0]), *command[1:]], capture_output=True, text=True)
        found = re.search(pattern, done.stdout + done.stderr)
        return found[1] if found else "unknown"

    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    return {
        "cpus": len(model),
        "cpu": model[0] if model else "unknown",
        "kernel": os.uname().release,
        "nginx": version(r"nginx/([\d.]+)", "nginx", "-v"),
        "haproxy": version(r"version ([\d.]+)", "haproxy", "-v"),
        "ringgate": commit,
        "congestion": CONGESTION.read_text().strip(),
        "load_average_before": os.getloadavg(),
    }


def status(binary, admin):
    """What a ringgate says of itself over its admin socket."""
    command = [str(binary), "status", "--json", "--admin", str(admin)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def save(name, result):
    """Writes samples below perf/results; the file."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    file = RESULTS / time.strftime(f"{name}-%Y%m%d-%H%M%S.json")
    file.write_text(json.dumps(result, indent=1, default=str))
    return file
