"""What the benchmarks in Python share: processes, ports, a gateway with its sandbox."""

import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

LOBBY = "d23d7180-c1ee-4bbe-8630-05df5031ce35"
PERSON = "c6247b75-f1cb-493a-9915-a85a0b9639ae"
PATH = "/acs/entrances/grant_access"
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
TICK = os.sysconf("SC_CLK_TCK")
processes = []


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start(arguments, **options):
    process = subprocess.Popen([str(a) for a in arguments], **options)
    processes.append(process)
    return process


def end(process):
    processes.remove(process)
    process.terminate()
    # One that is stopped would not see it.
    process.send_signal(signal.SIGCONT)
    process.wait(timeout=60)


def finish():
    for process in list(processes):
        end(process)


def wait_port(port):
    for _ in range(100):
        with socket.socket() as attempt:
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    sys.exit(f"nothing listens on port {port}")


def cpu_seconds(process):
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def resident_mib(number):
    """Of the process with this number."""
    status = Path(f"/proc/{number}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024


def trust(directory):
    """What a client of the servers in a site's directory needs to connect."""
    context = ssl.create_default_context(cafile=directory / "certs" / "servers-ca.pem")
    context.set_alpn_protocols(["http/1.1"])
    return context


def connect(port, context):
    plain = socket.create_connection(("127.0.0.1", port), timeout=20)
    return context.wrap_socket(plain, server_hostname="localhost")


def site(binary, directory):
    """A directory as `init` makes it; gives the token of `visitor-desk`."""
    subprocess.run([binary, "init", "--dev-certs", directory], check=True, timeout=20, **QUIET)
    command = [binary, "caller", "new", "visitor-desk", "--callers", directory / "callers.toml"]
    made = subprocess.run(command, check=True, timeout=20, capture_output=True, text=True)
    return made.stdout.strip()


def sandbox(binary, directory, under=()):
    """Gives its port."""
    port, certs = free_port(), directory / "certs"
    command = [*under, binary, "sandbox", "--address", f"127.0.0.1:{port}"]
    command += ["--certificate", certs / "sandbox.pem", "--private-key", certs / "sandbox.key"]
    start([*command, "--key-file", directory / "secrets" / "seam_api_key"], **QUIET)
    wait_port(port)
    return port


def gateway(binary, directory, upstream, settings, under=(), output=QUIET):
    """Without a limit of the caller's rate: the load is one caller. Gives process and ports."""
    port, admin = free_port(), free_port()
    settings = {
        "LISTENER__ADDRESS": f"127.0.0.1:{port}",
        "ADMIN__ADDRESS": f"127.0.0.1:{admin}",
        "UPSTREAM__URL": f"https://localhost:{upstream}",
        "LIMITS__CALLER_REQUESTS_PER_SECOND": "1000000",
        "LIMITS__CALLER_REQUESTS_BURST": "1000000",
        **settings,
    }
    environment = {f"GRANTGATE__{name}": value for name, value in settings.items()}
    command = [*under, binary, "serve", "--config", directory / "grantgate.toml"]
    process = start(command, env={**os.environ, **environment}, **output)
    wait_port(port)
    return process, port, admin
