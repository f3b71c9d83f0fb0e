#!/usr/bin/env python3
"""Whether host/openapi.json is valid OpenAPI, and whether a server keeps to it under odd requests.

Starts the program on a free port with the card service of demo/cards, and lets schemathesis make up requests for every
operation: what the document allows, and what it does not. Ends with the status of schemathesis; what the server said is in
target/openapi-server.log.

    python -m venv venv && venv/bin/pip install openapi-spec-validator schemathesis
    cargo build -p tidemill && cargo test -p tidemill --test end_to_end cards::      # builds the transform
    venv/bin/python tests/oracle/openapi.py [options of `schemathesis run`]
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
DOCUMENT = REPO / "host" / "openapi.json"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", REPO / "target"))
PROGRAM = Path(os.environ.get("TIDEMILL", TARGET / "debug" / "tidemill"))
TRANSFORM = TARGET / "tidemill" / "components" / "card-payment.wasm"
DEMO = REPO / "demo" / "cards"

# A check that is left out, and why: names and columns are what is registered, which no schema can say, so a body that
# the schema allows may well be refused.
LEFT_OUT = ["positive_data_acceptance"]

# What is there, so that not every request ends with 404.
THERE = {"services": "card-features", "views": "customer", "transforms": "card-payment", "lineage": "card-features"}
CONFIG = '[parameters]\n"path.alias" = "stable"\n"path.kind" = "service"\n' + "".join(
    f"""
[[operations]]
include-path-regex = "^/v1/{kind}/"
parameters = {{ "path.id" = "{name}" }}
"""
    for kind, name in THERE.items()
)

# schemathesis reads this file again, for how bodies are written that it does not know.
HOOKS = "SCHEMATHESIS_HOOKS"
if os.environ.get(HOOKS) == Path(__file__).stem:
    import schemathesis

    @schemathesis.serializer("application/wasm", "application/vnd.apache.parquet")
    def binary(_, value):
        return value if isinstance(value, bytes) else str(value).encode()

    @schemathesis.serializer("application/x-ndjson")
    def line(_, value):
        return json.dumps(value).encode()


def main() -> int:
    subprocess.run([sys.executable, "-m", "openapi_spec_validator", str(DOCUMENT)], check=True)
    log = TARGET / "openapi-server.log"
    with tempfile.TemporaryDirectory() as folder, open(log, "wb") as words:
        command = [PROGRAM, "serve", "--listen", "127.0.0.1:0", "--data-dir", Path(folder) / "data"]
        # Its words go to a file: a pipe that nobody reads is full some time, and the server would wait for ever.
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=words, text=True)
        try:
            url = address(server, log)
            prepare(url)
            return explore(url, Path(folder))
        finally:
            server.terminate()
            server.wait()


def address(server: subprocess.Popen[str], log: Path) -> str:
    """The one line that the server writes to its output."""
    said = server.stdout.readline()
    if found := re.fullmatch(r"listening on (http://127\.0\.0\.1:\d+)\n", said):
        return found.group(1)
    raise SystemExit(f"the server did not start: {log.read_text() or said}")


def prepare(url: str) -> None:
    send(url, "/v1/transforms", "application/wasm", TRANSFORM.read_bytes())
    send(url, "/v1/views", "application/toml", (DEMO / "customer.toml").read_bytes())
    send(url, "/v1/views/customer/rows", "application/x-ndjson", (DEMO / "customers.ndjson").read_bytes())
    send(url, "/v1/services", "application/toml", (DEMO / "card-features.toml").read_bytes())


def send(url: str, path: str, kind: str, body: bytes) -> None:
    request = urllib.request.Request(url + path, body, {"content-type": kind})
    urllib.request.urlopen(request).read()


def explore(url: str, folder: Path) -> int:
    config = folder / "schemathesis.toml"
    config.write_text(CONFIG)
    program = Path(sys.executable).with_name("schemathesis")
    left_out = [f"--exclude-checks={','.join(LEFT_OUT)}"]
    command = [program, f"--config-file={config}", "run", str(DOCUMENT), f"--url={url}", *left_out, *sys.argv[1:]]
    here = Path(__file__)
    hooks = {**os.environ, HOOKS: here.stem, "PYTHONPATH": str(here.parent)}
    return subprocess.run(command, cwd=folder, env=hooks).returncode


if __name__ == "__main__":
    sys.exit(main())
