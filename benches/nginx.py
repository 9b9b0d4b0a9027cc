"""The web server in front: one nginx worker, a port for each server behind it."""

import os
import socket
from pathlib import Path

NGINX = "/usr/sbin/nginx"
KEPT = 64
MAIN = """
daemon off;
{user}
worker_processes 1;
pid {directory}/nginx.pid;
worker_rlimit_nofile 16384;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 10000000;
    client_max_body_size 64m;
    client_body_buffer_size 2m;
{paths}
{servers}
}}
"""
SERVER = """
    upstream {name} {{ server unix:{path}; {kept} }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            {protocol}_pass {scheme}{name};
            {protocol}_buffer_size 16k;
            {protocol}_buffers 16 16k;
            {protocol}_busy_buffers_size 64k;
            {protocol}_max_temp_file_size 0;
            {more}
        }}
    }}
"""
KEEP_FASTCGI = "fastcgi_keep_conn on;"
KEEP_HTTP = 'proxy_http_version 1.1; proxy_set_header Connection "";'


def start(processes, directory, backends):
    """`backends` are (peer, unix socket, port); returns nginx's process."""
    directory.mkdir()
    kinds = ("client_body", "proxy", "fastcgi", "scgi", "uwsgi")
    config = directory / "nginx.conf"
    config.write_text(
        MAIN.format(
            # nginx warns about `user` when it is not root, and then needs none.
            user="user root;" if os.geteuid() == 0 else "",
            directory=directory,
            paths="".join(f"    {kind}_temp_path {directory}/{kind};\n" for kind in kinds),
            servers="".join(server(*backend) for backend in backends),
        )
    )
    for kind in ("fastcgi", "scgi", "uwsgi"):
        stock = Path(f"/etc/nginx/{kind}_params").read_text()
        (directory / f"{kind}_params").write_text(stock)
        (directory / f"{kind}_params_mounted").write_text(mounted(stock, kind))
    command = [NGINX, "-p", directory, "-c", config, "-e", directory / "error.log"]
    process = processes.start("nginx", command, directory / "nginx.log")
    for _, _, port in backends:
        processes.wait_until_accepting(socket.AF_INET, ("127.0.0.1", port))
    return process


def server(peer, path, port):
    http = peer.protocol == "http"
    kept = f"keepalive {KEPT}; keepalive_requests 10000000;" if peer.keep else ""
    if http:
        more = KEEP_HTTP
    else:
        # flupd finds the path by itself; the others need the pair that WSGI wants.
        file = "params" if peer.name.startswith("flupd") else "params_mounted"
        more = f"include {peer.protocol}_{file};" + (KEEP_FASTCGI if peer.keep else "")
    return SERVER.format(
        name=f"backend{port}",
        path=path,
        port=port,
        kept=kept,
        protocol="proxy" if http else peer.protocol,
        scheme="http://" if http else "",
        more=more,
    )


def mounted(stock, kind):
    """The stock params, with SCRIPT_NAME and PATH_INFO as for an app at the root."""
    kept = [line for line in stock.splitlines() if " SCRIPT_NAME " not in line and " PATH_INFO " not in line]
    own = [f'{kind}_param SCRIPT_NAME "";', f"{kind}_param PATH_INFO $document_uri;"]
    return "\n".join(kept + own) + "\n"
