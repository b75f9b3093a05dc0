"""Latency and rate of `heliograph serve`: clients that each send one molecule after the other over a connection that stays open.

python bench/serve.py MODEL --clients 1 16 64 --requests 2000 [--max-batch 1]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from heliograph.data.sets import smallmol


async def client(port: int, bodies: list[bytes], seconds: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for body in bodies:
        head = f"POST /v1/predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        started = time.perf_counter()
        writer.write(head.encode() + body)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = next(int(line.split(":")[1]) for line in lines.split("\r\n") if line.startswith("content-length"))
        answer = json.loads(await reader.readexactly(length))
        if "rows" not in answer or answer["rows"][0]["reason"]:
            raise SystemExit(f"no answer: {answer}")
        seconds.append(time.perf_counter() - started)
    writer.close()


async def measure(port: int, clients: int, requests: int, smiles: list[str]) -> dict[str, float]:
    each = requests // clients
    bodies = [json.dumps({"smiles": [smiles[k % len(smiles)]]}).encode() for k in range(clients * each)]
    seconds: list[float] = []
    started = time.perf_counter()
    await asyncio.gather(*(client(port, bodies[k * each : (k + 1) * each], seconds) for k in range(clients)))
    wall = time.perf_counter() - started
    p50, p99 = np.quantile(seconds, [0.5, 0.99])
    return {"clients": clients, "requests": clients * each, "p50_ms": 1e3 * p50, "p99_ms": 1e3 * p99, "rate": clients * each / wall}


def memory(pid: int) -> float:
    """Resident MB."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--max-batch", default="512")
    parser.add_argument("--port", type=int, default=8765)
    args = parser.parse_args()
    smiles = [str(text) for text in smallmol.load().smiles]
    command = [sys.executable, "-m", "heliograph", "serve", args.model, "--port", str(args.port), "--max-batch", args.max_batch, "-q"]
    started = time.perf_counter()
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        import urllib.request

        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{args.port}/readyz")
                break
            except OSError:
                time.sleep(0.05)
        print(json.dumps({"ready_s": time.perf_counter() - started, "memory_mb": memory(process.pid)}), flush=True)
        for clients in args.clients:
            found = asyncio.run(measure(args.port, clients, args.requests, smiles))
            print(json.dumps(found | {"max_batch": args.max_batch, "memory_mb": memory(process.pid)}), flush=True)
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
