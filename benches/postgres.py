"""A PostgreSQL server of Debian's package, for the benchmarks in Python."""

import os
import subprocess
import time
from pathlib import Path

from support import free_port, start

PASSWORD = "measured"


def postgres(work, directory):
    """Gives the process and the port of a server with the schema."""
    programs = sorted(Path("/usr/lib/postgresql").iterdir())[-1] / "bin"
    data, port = work / "postgres", free_port()
    as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
    data.mkdir()
    (data / "password").write_text(PASSWORD)
    for name in ("pem", "key"):
        (data / f"server.{name}").write_bytes((directory / "certs" / f"sandbox.{name}").read_bytes())
    (data / "server.key").chmod(0o600)
    if as_user:
        work.chmod(0o755)
        subprocess.run(["chown", "-R", "postgres:postgres", data], check=True)
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "timeout": 120}
    initdb = [*as_user, programs / "initdb", "-A", "scram-sha-256", "-U", "postgres", "--pwfile", data / "password"]
    subprocess.run([*initdb, data / "data"], **quiet)
    (data / "data" / "pg_hba.conf").write_text(
        "local all postgres trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n"
    )
    with open(data / "data" / "postgresql.conf", "a", encoding="utf-8") as conf:
        conf.write(
            f"unix_socket_directories = '{data}'\nfsync = off\nssl = on\n"
            f"ssl_cert_file = '{data}/server.pem'\nssl_key_file = '{data}/server.key'\n"
        )
    command = [*as_user, programs / "postgres", "-D", data / "data", "-p", port]
    server = start(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    psql = [programs / "psql", "-q", "-h", data, "-p", str(port), "-U", "postgres", "-v", "ON_ERROR_STOP=1"]
    for _ in range(200):
        if subprocess.run([*psql, "-c", "SELECT 1"], capture_output=True, check=False).returncode == 0:
            break
        time.sleep(0.05)
    return server, port, psql


def set_up(binary, work, directory, port, psql):
    roles = subprocess.run([binary, "database", "roles"], check=True, capture_output=True, text=True).stdout
    subprocess.run(psql, input=roles, text=True, check=True, timeout=20)
    for role in ("owner", "gateway", "publisher", "reader"):
        subprocess.run([*psql, "-c", f"ALTER ROLE grantgate_{role} PASSWORD '{PASSWORD}'"], check=True)
    secret = directory / "secrets" / "database"
    secret.write_text(PASSWORD)
    secret.chmod(0o600)
    for role in ("owner", "publisher", "reader"):
        (work / f"{role}.toml").write_text(
            f'url = "postgresql://grantgate_{role}@localhost:{port}/grantgate"\n'
            f'password_file = "{secret}"\nca_file = "{directory}/certs/servers-ca.pem"\n'
        )
    migrate = [binary, "database", "migrate", "--database", work / "owner.toml"]
    subprocess.run(migrate, check=True, stdout=subprocess.DEVNULL, timeout=60)


def mirrored(work, directory, port, name):
    """Settings of a gateway with a database and a log of its own."""
    return {
        "AUDIT__DIRECTORY": str(work / f"audit-{name}"),
        "REPLICA__NAME": name,
        "DATABASE__URL": f"postgresql://grantgate_gateway@localhost:{port}/grantgate",
        "DATABASE__PASSWORD_FILE": str(directory / "secrets" / "database"),
        "DATABASE__CA_FILE": str(directory / "certs" / "servers-ca.pem"),
    }
