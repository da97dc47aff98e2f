"""Load on one server, and what it cost."""

import json
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass

from servers import SERVER_ROOM, pinned
from support import LOBBY, PATH, connect

# What is asked of each is the same; wrk writes a line that is easy to read.
SCRIPT = """
wrk.method = "POST"
wrk.path = os.getenv("BENCH_PATH")
wrk.headers["Authorization"] = "Bearer " .. os.getenv("BENCH_TOKEN")
wrk.headers["Content-Type"] = "application/json"
if os.getenv("BENCH_CLOSE") then wrk.headers["Connection"] = "close" end
-- Each grant is for another person: those that are the same are sent once while they are in flight.
local requests, last = {}, 0
init = function()
    for n = 1, 4096 do
        local body = os.getenv("BENCH_BODY"):gsub("PERSON", string.format("%08x-0000-4000-8000-000000000000", n))
        requests[n] = wrk.format(nil, nil, nil, body)
    end
end
request = function()
    last = last % #requests + 1
    return requests[last]
end
done = function(summary, latency, requests)
    local e = summary.errors
    io.stderr:write(string.format("%d %d %d %d %.0f %.0f\\n", summary.requests, summary.duration,
        e.status, e.connect + e.read + e.write + e.timeout, latency:percentile(50), latency:percentile(99)))
end
"""
# What is recorded after the answer belongs to the request.
SETTLE = 0.3
RECORD = 1024


@dataclass(frozen=True)
class Case:
    """One kind of load."""

    name: str
    connections: int
    entrance: str = LOBBY
    close: bool = False
    cores: int = 1
    path: str = PATH


@dataclass(frozen=True)
class Result:
    requests: int
    rate: float
    cpu_us: float
    p50_us: float
    p99_us: float
    commits: float


ALLOW_8 = Case("allow, 8 connections", 8)
ALLOW_32 = Case("allow, 32 connections", 32)
ALLOW_128 = Case("allow, 128 connections", 128)
DENY_32 = Case("deny, 32 connections", 32, entrance=SERVER_ROOM)
NEW = Case("allow, a new TLS connection each", 32, close=True)
ONE = Case("allow, one connection", 1)
TWO_CORES = Case("allow, 32 connections, two cores", 32, cores=2)
CASES = [ALLOW_32, ALLOW_128, ALLOW_8, DENY_32, NEW, ONE, TWO_CORES]
LIST = Case("a list, 32 connections", 32, path="/acs/entrances/list")
TRAINING = [ALLOW_32, ALLOW_8, ALLOW_128, DENY_32, NEW, LIST, ONE]


def wrk(site, case, port, cores, seconds, watch=lambda: None):
    """Gives requests, micros, refused, broken, p50 and p99. Calls `watch` again and again meanwhile."""
    script = site.work / "load.lua"
    script.write_text(SCRIPT)
    body = {"acs_entrance_id": case.entrance, "user_identity_id": "PERSON"} if case.path == PATH else {}
    environment = {
        **os.environ,
        "BENCH_PATH": case.path,
        "BENCH_TOKEN": site.token,
        "BENCH_BODY": json.dumps(body),
        **({"BENCH_CLOSE": "1"} if case.close else {}),
    }
    command = [*pinned(cores), "wrk", "-t1", f"-c{case.connections}", f"-d{seconds}s", "-s", script]
    command = [str(part) for part in [*command, f"https://localhost:{port}"]]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    running = subprocess.Popen(command, env=environment, **pipes)
    until = time.monotonic() + seconds + 60
    while running.poll() is None and time.monotonic() < until:
        watch()
        time.sleep(0.02)
    running.kill()
    return [int(part) for part in running.communicate()[1].splitlines()[-1].split()]


def measure(site, case, server, seconds):
    cores = site.load_cores if case.cores == 1 else site.cores
    server.resume()
    time.sleep(SETTLE)
    commits, cpu = server.commits() if server.admin else 0, server.cpu_seconds()
    requests, micros, refused, broken, p50, p99 = wrk(site, case, server.port, cores, seconds)
    time.sleep(SETTLE)
    cpu = server.cpu_seconds() - cpu
    commits = server.commits() - commits if server.admin else 0
    server.pause()
    wanted = requests if case.entrance == SERVER_ROOM else 0
    if requests == 0 or refused != wanted or broken:
        message = f"{server.name}, {case.name}: {requests} requests, {refused} refused, {broken} broken"
        raise SystemExit(f"{message}; logs: {site.logs}")
    return Result(requests, requests / micros * 1e6, cpu / requests * 1e6, p50, p99, commits / requests)


def syncs(site, seconds):
    """Medians in µs of appending a record and syncing it, and of writing over one durably, in turns.

    On the server's core, since to one core a disk's interrupt comes later than to another.
    """
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, site.cores[:1])
    try:
        return sync_medians(site.work, seconds)
    finally:
        os.sched_setaffinity(0, before)


def sync_medians(directory, seconds):
    appended, overwritten = [], []
    with tempfile.NamedTemporaryFile(dir=directory) as log, tempfile.NamedTemporaryFile(dir=directory) as ring:
        record = b"x" * RECORD
        os.write(ring.fileno(), bytes(RECORD * 1024))
        os.fsync(ring.fileno())
        until, place = time.monotonic() + seconds, 0
        while time.monotonic() < until:
            since = time.perf_counter_ns()
            os.write(log.fileno(), record)
            os.fdatasync(log.fileno())
            middle = time.perf_counter_ns()
            os.pwritev(ring.fileno(), [record], place, os.RWF_DSYNC)
            appended.append(middle - since)
            overwritten.append(time.perf_counter_ns() - middle)
            place = (place + RECORD) % (RECORD * 1024)
    return tuple(sorted(found)[len(found) // 2] / 1e3 for found in (appended, overwritten))


def grants(site, server, case, seconds):
    """The most memory, in MiB, under a load."""
    seen = []
    watch = lambda: seen.append(server.resident_mib())
    requests, _, refused, broken, _, _ = wrk(site, case, server.port, site.load_cores, seconds, watch)
    if refused or broken or not requests:
        raise SystemExit(f"{server.name}: {refused} of {requests} grants refused, {broken} broken; logs: {site.logs}")
    return max(seen)


def idle(site, server, number):
    """Memory of an idle TLS connection, in KiB."""
    time.sleep(1)
    before = server.resident_mib()
    opened = [connect(server.port, site.context) for _ in range(number)]
    time.sleep(1)
    each = (server.resident_mib() - before) * 1024 / number
    for connection in opened:
        connection.close()
    return each
