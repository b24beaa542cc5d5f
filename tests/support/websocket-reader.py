"""Reads a WebSocket to its end, and prints what came as one line of JSON.

Arguments: `deflate` or `plain`, the URL, and a subprotocol where one is to be
offered. Each line of standard input is sent as a message once the connection
is open.
"""

import hashlib
import json
import sys

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

coding, url, *subprotocols = sys.argv[1:]
compression = "deflate" if coding == "deflate" else None
messages = []
with connect(url, subprotocols=subprotocols or None, max_size=None, compression=compression) as socket:
    if compression is not None and "permessage-deflate" not in socket.response.headers.get("Sec-WebSocket-Extensions", ""):
        raise RuntimeError("the server does not compress")
    print("open", flush=True)
    for line in sys.stdin:
        socket.send(line.rstrip("\n"))
    try:
        while True:
            message = socket.recv(timeout=60)
            if not isinstance(message, str):
                raise TypeError("a binary message")
            content = message.encode()
            messages.append({"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()})
    except ConnectionClosed as closed:
        end = closed.rcvd
print(json.dumps({"messages": messages, "code": end.code, "reason": end.reason}))
