"""Keeps every request as it came: request line, headers, empty line, body. Usage: record.py PORT OUT_DIR PREFIX"""
import http.server
import json
import sys

port, out, prefix = int(sys.argv[1]), sys.argv[2], sys.argv[3]
count = 0


class Recorder(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        global count
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        head = f"{self.requestline}\r\n" + "".join(f"{k}: {v}\r\n" for k, v in self.headers.items())
        with open(f"{out}/{prefix}-{count}.bin", "wb") as file:
            file.write(head.encode("latin-1") + b"\r\n" + body)
        count += 1
        answer = json.dumps({"success": True, "id": "0" * 32}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", port), Recorder).serve_forever()
