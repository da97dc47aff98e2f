"""The servers that are compared: each does the same job, as far as it can."""

import http.client
import json
import os
import signal
import subprocess
from pathlib import Path

import support
from support import LOBBY, PATH, PERSON, TICK, free_port, start, wait_port

HERE = Path(__file__).resolve().parent
# No rule of the sample policy lets visitor-desk grant this one.
SERVER_ROOM = "5f0c2a4e-8d6b-4c1f-9a37-2b9e6d1c7f08"
# What the sample policy lets visitor-desk grant.
ENTRANCES = [
    LOBBY,
    "0a9f3c52-6f5e-4d0b-b1d4-93c4e7a8f216",
    "7c0e2b1d-53a4-4f86-8e9b-1d2c3f4a5b6c",
    "b8d1f6e3-2c47-4a95-9f0e-6a7b8c9d0e1f",
]
# Connections may wait for their turn, and there may be many.
PATIENT = {
    "LIMITS__CONNECTIONS_MAX": "20000",
    "LIMITS__CONNECTIONS_PER_ADDRESS_MAX": "20000",
    "LIMITS__IDLE_TIMEOUT_MS": "600000",
    "LIMITS__HEADER_TIMEOUT_MS": "600000",
}


class Site:
    """What all servers share: certificates, the caller's token, Seam's key, the sandbox.

    Configuration, logs and each gateway's records are in directories of their own: a watched
    directory with a busy file in it costs the gateway CPU time.
    """

    def __init__(self, work, binary, upstream_binary, cores):
        self.work, self.cores, self.load_cores = work, cores, cores[1:]
        self.configuration, self.logs = work / "configuration", work / "logs"
        self.logs.mkdir()
        # What an instrumented build counts is to be the gateway's alone, not the sandbox's.
        os.environ["LLVM_PROFILE_FILE"] = os.devnull
        self.token = support.site(binary, self.configuration)
        self.key = (self.configuration / "secrets" / "seam_api_key").read_text().strip()
        self.context = support.trust(self.configuration)
        self.upstream = support.sandbox(upstream_binary, self.configuration, pinned(self.load_cores))

    def log(self, name):
        return open(self.logs / f"{name}.log", "wb")


class Server:
    """A process, with the processes that it has made."""

    def __init__(self, name, process, port, admin=None):
        self.name, self.process, self.port, self.admin = name, process, port, admin

    def ids(self):
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [self.process.pid, *map(int, children.split())]

    def cpu_seconds(self):
        found = 0
        for number in self.ids():
            fields = Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()
            found += int(fields[11]) + int(fields[12])
        return found / TICK

    def resident_mib(self):
        return sum(support.resident_mib(number) for number in self.ids())

    def pause(self):
        """One that waits for its turn takes no time from the one that is measured."""
        for number in self.ids():
            os.kill(number, signal.SIGSTOP)

    def resume(self):
        for number in self.ids():
            os.kill(number, signal.SIGCONT)

    def end(self):
        self.resume()
        support.end(self.process)

    def commits(self):
        """How often its journal has synced so far."""
        wanted = "grantgate_audit_commit_duration_seconds_count"
        asked = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=20)
        asked.request("GET", "/metrics")
        lines = asked.getresponse().read().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(wanted))


def pinned(cores):
    return ("taskset", "-c", ",".join(map(str, cores)))


def knows_workers(binary, configuration):
    """Whether the build has the setting: an older one refuses a setting that it does not know."""
    environment = {**os.environ, "GRANTGATE__LISTENER__WORKERS": "1"}
    command = [binary, "check", "--config", configuration / "grantgate.toml"]
    checked = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    return "there is no setting" not in checked.stdout + checked.stderr


def grantgate(name, binary, site, cores, tag):
    settings = {**PATIENT, "AUDIT__DIRECTORY": str(site.work / f"audit-{name}-{tag}")}
    if knows_workers(binary, site.configuration):
        settings["LISTENER__WORKERS"] = str(len(cores))
    output = {"stdout": subprocess.DEVNULL, "stderr": site.log(f"{name}-{tag}")}
    made = support.gateway(binary, site.configuration, site.upstream, settings, pinned(cores), output)
    return Server(name, *made)


def fill(template, target, values):
    text = (HERE / template).read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    target.write_text(text)


def proxy(name, site, cores, tag, command):
    """`command` makes the arguments from the directory of the proxy's files."""
    directory = site.work / f"{name}-{tag}"
    directory.mkdir()
    certs, port = site.configuration / "certs", free_port()
    both = (certs / "server.pem").read_text() + (certs / "server.key").read_text()
    (directory / "both.pem").write_text(both)
    (directory / "tokens.map").write_text(f"{site.token} visitor-desk\n")
    (directory / "entrances.map").write_text("".join(f"{entrance} allow\n" for entrance in ENTRANCES))
    values = {
        "THREADS": len(cores),
        "PORT": port,
        "UPSTREAM": site.upstream,
        "DIRECTORY": directory,
        "AUTHORITY": certs / "servers-ca.pem",
        "PATH": PATH,
        "TOKEN": site.token,
        "KEY": site.key,
        "ENTRANCES": ", ".join(f"'{entrance}': true" for entrance in ENTRANCES),
    }
    for template in ("haproxy.cfg", "nginx.conf", "judge.js"):
        if template.startswith((name, "judge")):
            fill(template, directory / template, values)
    with site.log(f"{name}-{tag}") as log:
        process = start([*pinned(cores), *command(directory)], stdout=log, stderr=log)
    wait_port(port)
    return Server(name, process, port)


def haproxy(site, cores, tag):
    return proxy("haproxy", site, cores, tag, lambda d: ["haproxy", "-db", "-f", d / "haproxy.cfg"])


def nginx(site, cores, tag):
    return proxy("nginx", site, cores, tag, lambda d: ["nginx", "-c", d / "nginx.conf", "-p", d])


def versions():
    said = {
        "HAProxy": ["haproxy", "-v"],
        "nginx": ["nginx", "-v"],
        "wrk": ["wrk", "-v"],
    }
    found = []
    for name, command in said.items():
        run = subprocess.run(command, capture_output=True, text=True, timeout=20)
        words = (run.stdout + run.stderr).replace("nginx/", "").replace("debian/", "").split()
        found.append(f"{name} {next(word for word in words if word[0].isdigit())}")
    return ", ".join(found)


def ask(server, site, token, entrance):
    client = http.client.HTTPSConnection("localhost", server.port, context=site.context, timeout=20)
    body = json.dumps({"acs_entrance_id": entrance, "user_identity_id": PERSON})
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    client.request("POST", PATH, body, headers)
    status = client.getresponse().status
    client.close()
    return status


def seen(site):
    """The grants that have reached the sandbox."""
    client = http.client.HTTPSConnection("localhost", site.upstream, context=site.context, timeout=20)
    client.request("GET", "/_sandbox/grants")
    return client.getresponse().read().decode().count("acs_entrance_id")


def check(server, site):
    """A server that answers wrongly is not worth measuring."""
    before = seen(site)
    cases = {(site.token, LOBBY): 200, (site.token, SERVER_ROOM): 403, ("wrong", LOBBY): 401}
    for (token, entrance), wanted in cases.items():
        found = ask(server, site, token, entrance)
        if found != wanted:
            raise SystemExit(f"{server.name} answers {found}, not {wanted}; logs: {site.logs}")
    if seen(site) - before != 1:
        raise SystemExit(f"{seen(site) - before} grants of {server.name} reached the sandbox, not 1")
