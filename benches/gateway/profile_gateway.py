"""Where the gateway's CPU time goes under load: perf by object and symbol, strace by system call."""

import re
import subprocess
import threading
import time

import load
from load import ALLOW_32

SECONDS, LINES = 8, 20


def under_load(site, server, command):
    """Runs `command` in the middle of a longer load."""
    arguments = (site, ALLOW_32, server.port, site.load_cores, SECONDS + 4)
    running = threading.Thread(target=load.wrk, args=arguments)
    running.start()
    time.sleep(1)
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    running.join()
    return done


def profile(site, server):
    server.resume()
    samples(site, server)
    calls(site, server)
    server.pause()


def samples(site, server):
    data = site.work / "perf.data"
    command = ["perf", "record", "-q", "-F", "499", "-p", server.process.pid, "-o", data, "--", "sleep", SECONDS]
    done = under_load(site, server, command)
    if done.returncode != 0:
        print(f"perf: {done.stderr.strip()}")
        return
    for order in ("dso", "dso,symbol"):
        print(f"\nThe gateway's own time, {ALLOW_32.name}, by {order}:\n")
        command = ["perf", "report", "-i", str(data), "--stdio", "--sort", order, "-g", "none"]
        report = subprocess.run(command, capture_output=True, text=True).stdout
        lines = [line for line in report.splitlines() if line.strip() and not line.startswith("#")]
        # What follows a symbol are columns of what was not asked for.
        print("\n".join(re.sub(r"(\s+-)*\s*$", "", line) for line in lines[:LINES]))


def calls(site, server):
    """Only the counts mean something: strace slows the gateway several times."""
    out = site.work / "strace"
    command = ["timeout", "-s", "INT", SECONDS, "strace", "-c", "-f", "-p", server.process.pid, "-o", out]
    under_load(site, server, command)
    counts = {}
    for line in out.read_text().splitlines():
        fields = line.split()
        if len(fields) >= 5 and fields[3].isdigit() and fields[-1] != "total":
            counts[fields[-1]] = int(fields[3])
    requests = counts.get("writev", 0) / 2
    if not requests:
        print("strace saw no writev")
        return
    print("\nSystem calls per request, taken as two writev, with strace attached:\n")
    for name, count in sorted(counts.items(), key=lambda item: -item[1])[:LINES]:
        print(f"{count / requests:8.2f} {name}")
