"""The proxies under test, each tuned as its own manual and experts advise. perf/README.md explains the choices."""

from collections import namedtuple

import rig

# One proxy that runs, and the port that leads through it to the backend.
Proxy = namedtuple("Proxy", "process port")

KEPT = 1024  # connections kept open to the backend by every proxy: fewer than the load's would measure reconnects

NGINX_HTTP_HOP = """
  upstream up{port} {{ server 127.0.0.1:{to}; keepalive {kept}; keepalive_requests 100000000; keepalive_timeout 1h; }}
  server {{
    listen 127.0.0.1:{port} {tls} backlog=4096;
    location / {{ proxy_pass http://up{port}; proxy_http_version 1.1; proxy_set_header Connection ""; {tuning} }}
  }}
"""
# The default, eight buffers of 4 KiB, would make it copy in small pieces and write bodies to temporary files.
NGINX_HTTP_LARGE = """
      proxy_buffer_size 16k; proxy_buffers 8 64k; proxy_busy_buffers_size 128k; proxy_max_temp_file_size 0;
      proxy_request_buffering off; client_body_buffer_size 64k;
"""

# Nothing is proxied: the files are served by the contender itself.
NGINX_FILES = """
  sendfile on; tcp_nopush on; open_file_cache max=1000 inactive=60s;
  server {{ listen 127.0.0.1:{port} backlog=4096; root {root}; }}
"""

NGINX_GZIP = "gzip on; gzip_types text/plain;"

NGINX_TLS = """
  ssl_certificate {chain}; ssl_certificate_key {key};
  ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:tls:10m; ssl_session_timeout 1d; ssl_buffer_size {record};
"""

NGINX_TCP_HOP = """
  server {{ listen 127.0.0.1:{port} backlog=4096; proxy_pass 127.0.0.1:{to}; proxy_timeout 1h; {tuning} }}
"""
NGINX_TCP_LARGE = "proxy_buffer_size 64k;"

HAPROXY = """
global
  nbthread 1
  maxconn {connections}
{tuning}
defaults
  mode {mode}
  maxconn {connections}
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout tunnel 1h
{options}
"""
HAPROXY_TLS = "  ssl-default-bind-options ssl-min-ver TLSv1.2\n"
HAPROXY_LARGE = "  tune.bufsize 65536\n"
HAPROXY_SPLICE = "  tune.pipesize 262144\n"
HAPROXY_HTTP_OPTIONS = "  http-reuse always\n"
HAPROXY_GZIP_OPTIONS = "  compression algo gzip\n  compression type text/plain\n"
HAPROXY_SPLICE_OPTIONS = "  option splice-response\n  option splice-request\n"

HAPROXY_HOP = """
listen hop{port}
  bind 127.0.0.1:{port} {tls} backlog 4096
  server up 127.0.0.1:{to}
"""

RINGGATE = """
workers = {workers}
admin = "{admin}"
{top}
"""

RINGGATE_HTTP_HOP = """
[upstream.up{port}]
keepalive = {kept}
server = "127.0.0.1:{to}"
[[server]]
listen = "127.0.0.1:{port}{tls}"
[server.location."/"]
proxy_pass = "http://up{port}"
"""

RINGGATE_KEEPS = """
keepalive_requests = 100000000
keepalive_timeout = "1h"
"""

RINGGATE_FILES = """
open_file_cache = "max=1000 inactive=60s"
[[server]]
listen = "127.0.0.1:{port}"
root = "{root}"
"""

RINGGATE_GZIP = """
gzip = "on"
gzip_types = "text/plain"
"""

RINGGATE_TLS = """
ssl_certificate = "{chain}"
ssl_certificate_key = "{key}"
"""

RINGGATE_TCP_HOP = """
[[tcp]]
listen = "127.0.0.1:{port}"
proxy_pass = "127.0.0.1:{to}"
"""


def chain(hops, to, tls=""):
    """(own port, next port, `tls` at the first) of each hop; the last leads to the backend."""
    ports = rig.free_ports(hops) + [to]
    return list(zip(ports, ports[1:], [tls] + [""] * hops))


def nginx(bench, name, to, tcp=False, large=False, hops=1, tls=False, log=None, gzip=False):
    """`log`: what `access_log` says behind the path."""
    hop = NGINX_TCP_HOP if tcp else NGINX_HTTP_HOP
    tuning = (NGINX_TCP_LARGE if tcp else NGINX_HTTP_LARGE) if large else NGINX_GZIP if gzip else ""
    if log:
        tuning += f"access_log {bench.log(name)} {log};"
    links = chain(hops, to, "ssl" if tls else "")
    text = "".join(hop.format(port=port, to=next_port, kept=KEPT, tuning=tuning, tls=word) for port, next_port, word in links)
    if tls:
        certificate, key, _ = bench.certificate()
        text = NGINX_TLS.format(chain=certificate, key=key, record="16k" if large else "4k") + text
    service = {"stream": text} if tcp else {"http": text}
    return Proxy(bench.start_nginx(name.replace(" ", "-"), links[0][0], bench.proxy_cpus, **service), links[0][0])


def haproxy(bench, name, to, tcp=False, large=False, splice=False, hops=1, tls=False, gzip=False):
    links = chain(hops, to, f"ssl crt {bench.certificate()[2]}" if tls else "")
    text = HAPROXY.format(
        mode="tcp" if tcp else "http",
        # Two descriptors each, with splicing half a one more for pipes, and some of its own: it does not start otherwise.
        connections=bench.files // 3 if splice else bench.files * 19 // 40,
        tuning=(HAPROXY_TLS if tls else "") + (HAPROXY_SPLICE if splice else HAPROXY_LARGE if large else ""),
        options=("" if tcp else HAPROXY_HTTP_OPTIONS) + (HAPROXY_SPLICE_OPTIONS if splice else HAPROXY_GZIP_OPTIONS if gzip else ""),
    )
    name = name.replace(" ", "-")
    file = bench.folder / f"{name}.cfg"
    file.write_text(text + "".join(HAPROXY_HOP.format(port=port, to=next_port, tls=words) for port, next_port, words in links))
    command = [rig.find("haproxy"), "-db", "-f", str(file)]
    return Proxy(bench.start(name, command, links[0][0], bench.proxy_cpus), links[0][0])


def ringgate(bench, name, to, binary, tcp=False, hops=1, workers=1, admin="off", top="", tls=False, log=None, gzip=False):
    hop = RINGGATE_TCP_HOP if tcp else RINGGATE_HTTP_HOP
    links = chain(hops, to, " ssl" if tls else "")
    if tls:
        certificate, key, _ = bench.certificate()
        top += RINGGATE_TLS.format(chain=certificate, key=key)
    if log:
        top += f'\naccess_log = "{bench.log(name)} {log}"'
    if gzip:
        top += RINGGATE_GZIP
    if not tcp:
        top += RINGGATE_KEEPS
    file = bench.folder / f"{name}.toml"
    text = RINGGATE.format(workers=workers, admin=admin, top=top)
    file.write_text(text + "".join(hop.format(port=port, to=next_port, kept=KEPT, tls=word) for port, next_port, word in links))
    return Proxy(bench.start(name, [str(binary), "run", "-c", str(file)], links[0][0], bench.proxy_cpus), links[0][0])


def nginx_files(bench, name):
    port = rig.free_ports(1)[0]
    text = NGINX_FILES.format(port=port, root=bench.bodies)
    return Proxy(bench.start_nginx(name.replace(" ", "-"), port, bench.proxy_cpus, http=text), port)


def ringgate_files(bench, name, binary, top=""):
    port = rig.free_ports(1)[0]
    file = bench.folder / f"{name}.toml"
    text = RINGGATE.format(workers=1, admin="off", top=top + RINGGATE_KEEPS)
    file.write_text(text + RINGGATE_FILES.format(port=port, root=bench.bodies))
    return Proxy(bench.start(name, [str(binary), "run", "-c", str(file)], port, bench.proxy_cpus), port)
