"""Compares the gateway with HAProxy, nginx and builds of itself, and prints a Markdown table. Start it by
`benches/gateway/run`, which installs what it needs.

The server that is measured has one core, the load and the sandbox share another; only for the case of
two cores all share both. In each round every server does each kind of load, one after the other, while
the others are stopped; every other round goes the other way round. Ratios are of one round, and what is
shown is their median. CPU time is that of the server's processes, per request.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import load
import profile_gateway
import servers
from load import CASES, TWO_CORES
from report import Report
from support import finish

OWN = "grantgate"
LACKS = """\
HAProxy and nginx compare the token as text, look the entrance up in a map, put the key in and write a log line.
They do not: refuse unknown, doubled or malformed fields, hash tokens, limit a caller, judge by roles, zones and hours,
record anything durably, or build what they send from what they judged: the body goes on as it came."""


def arguments():
    parser = argparse.ArgumentParser(prog="benches/gateway/run", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="of each load")
    parser.add_argument("--only", action="append", default=[], help="cases with this in their name")
    parser.add_argument("--no-memory", action="store_true", help="leave out what measures memory")
    parser.add_argument("--quick", action="store_true", help="one short round, to see that all works")
    parser.add_argument(
        "--gate",
        action="append",
        default=[],
        metavar="CONNECTIONS=BOUND",
        help="fail if a request takes more syncs than this; for 8 and 32 connections",
    )
    parser.add_argument("--profile", action="store_true", help="where the gateway's CPU time goes (perf, strace)")
    parser.add_argument("--train", metavar="FILE", help="only loads an instrumented build that writes this profile")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 1, 1
    options.gate = {int(count): float(bound) for count, bound in (text.split("=") for text in options.gate)}
    if options.gate.keys() - {8, 32} or options.gate and options.only:
        parser.error("--gate is for 8 and 32 connections, and not together with --only")
    return options


def builds():
    """The builds to compare, by column; the oldest last."""
    found = {OWN: os.environ["GRANTGATE_BIN"]}
    found.update(text.split("=", 1) for text in os.environ.get("GRANTGATE_BINS", "").split())
    if before := os.environ.get("GRANTGATE_BEFORE_BIN"):
        found["before"] = before
    return {name: Path(binary).resolve(strict=True) for name, binary in found.items()}


def start_all(site, binaries, cores, tag):
    """One after the other; each is stopped until its turn."""
    made = []
    for name, binary in binaries.items():
        made.append(servers.grantgate(name, binary, site, cores, tag))
        servers.check(made[-1], site)
        made[-1].pause()
    for start in (servers.nginx, servers.haproxy):
        made.append(start(site, cores, tag))
        servers.check(made[-1], site)
        made[-1].pause()
    return made


def rounds(site, options, cases, started):
    results, raw = [], []
    for number in range(options.rounds):
        found = {}
        raw.append(load.syncs(site, min(options.seconds, 2)))
        for case in cases:
            order = started[case.cores]
            # Whoever goes first changes, so that none always runs on a warmer machine.
            for server in order if number % 2 == 0 else order[::-1]:
                result = load.measure(site, case, server, options.seconds)
                found[case.name, server.name] = result
                line = f"{result.rate:8.0f}/s {result.cpu_us:6.1f} µs p50 {result.p50_us} p99 {result.p99_us}"
                print(f"{number + 1} {case.name:34} {server.name:10} {line} syncs {result.commits:.3f}", file=sys.stderr)
        results.append(found)
    return results, raw


def memory(site, options, binaries):
    """Of each, freshly started for each figure."""
    number, seconds, most, each = *((200, 1) if options.quick else (10_000, 5)), {}, {}
    starts = {
        name: lambda tag, name=name, binary=binary: servers.grantgate(name, binary, site, site.cores[:1], tag)
        for name, binary in binaries.items()
    }
    starts["nginx"] = lambda tag: servers.nginx(site, site.cores[:1], tag)
    starts["haproxy"] = lambda tag: servers.haproxy(site, site.cores[:1], tag)
    for name, start in starts.items():
        server = start("idle")
        each[name] = load.idle(site, server, number)
        server.end()
        server = start("grants")
        most[name] = load.grants(site, server, load.ALLOW_32, seconds)
        server.end()
    return {
        f"memory, {seconds} s of grants over 32 connections": ("≤ 24 MB", "MiB", most),
        f"memory of an idle TLS connection, of {number:,}": ("≤ HAProxy's", "KiB", each),
    }


def compare(site, options, binaries):
    cases = [case for case in CASES if not options.only or any(text in case.name for text in options.only)]
    started = {1: start_all(site, binaries, site.cores[:1], "one")}
    if TWO_CORES in cases:
        started[2] = start_all(site, binaries, site.cores, "two")
    results, raw = rounds(site, options, cases, started)
    if options.profile:
        profile_gateway.profile(site, next(server for server in started[1] if server.name == OWN))
    for server in [server for several in started.values() for server in several]:
        server.end()
    found = {} if options.no_memory else memory(site, options, binaries)
    report = Report([*binaries, "nginx", "haproxy"], results, raw, found)
    print(f"{options.rounds} interleaved rounds of {options.seconds} s; {servers.versions()}. {report.disk()}")
    print(f"\n{report.table()}\n\n{LACKS}")
    return report.beyond(options.gate, OWN)


def train(site, options, binaries):
    """What a gateway does all day, for a build that counts it."""
    rules = site.configuration / "policies" / "policy.csv"
    rules.write_text(f"{rules.read_text()}\np, role:front-desk, zone:lobby, read, allow\n")
    os.environ["LLVM_PROFILE_FILE"] = options.train
    server = servers.grantgate(OWN, binaries[OWN], site, site.cores[:1], "train")
    os.environ["LLVM_PROFILE_FILE"] = os.devnull
    servers.check(server, site)
    for case in load.TRAINING:
        result = load.measure(site, case, server, options.seconds)
        print(f"{case.name:34} {result.requests:8} requests", file=sys.stderr)
    server.end()


def main():
    options = arguments()
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        sys.exit("two cores are needed: one for the server, one for the load")
    binaries = builds()
    work = tempfile.mkdtemp(prefix="grantgate-bench.", dir=os.environ.get("GRANTGATE_BENCH_DIR"))
    keep = False
    try:
        # Every build reads the configuration of the oldest.
        oldest = list(binaries.values())[-1]
        site = servers.Site(Path(work).resolve(), oldest, binaries[OWN], cores)
        said = train(site, options, binaries) if options.train else compare(site, options, binaries)
    except SystemExit:
        # What is wrong is said together with the place of the logs.
        keep = True
        raise
    finally:
        finish()
        if not keep:
            shutil.rmtree(work)
    if said:
        sys.exit("\n".join(said))


if __name__ == "__main__":
    main()
