# SPDX-License-Identifier: BSD-2-Clause
"""Runs on a node: the shared folder by https, with some answers that a careless client would fall for."""

from __future__ import annotations

import http.server
import os
import socket
import ssl

PORT = 8443


class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/to-http":
            self.send_response(302)
            self.send_header("Location", "http://localhost/web.raw.bz2")
            self.end_headers()
        elif self.path == "/short":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(bytes(10))
        else:
            super().do_GET()


def main() -> None:
    os.chdir("/srv/shared")
    server = http.server.ThreadingHTTPServer(("localhost", PORT), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("/tmp/tls/cert.pem", "/tmp/tls/key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
    server.serve_forever()


if __name__ == "__main__":
    main()
