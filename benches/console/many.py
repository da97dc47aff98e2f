"""A policy of 100,000 rules with names for its doors, and a signed log of a million records, as gateways write it."""

import base64
import hashlib
import json
import random
import subprocess
import uuid
from datetime import datetime, timedelta, timezone

# As `benches/decision/generated.rs` has them at 100,000 rules.
FLOORS, TEAMS, SERVICES, DOORS, FLOORS_PER_SITE, TEAMS_PER_DEPARTMENT = 160, 780, 8, 20, 5, 10
HOURS = "hours Europe/Berlin Mo-Fr 08:00-18:00"
SYSTEM = "3c5e9a1f-7b20-4d68-9e41-a0f2b6c8d713"
DAYS = 30
RECORDS_PER_DECISION = 1.94
CHECKPOINT_EVERY = 1_000
SEGMENT_BYTES = 64 << 20
# What it takes to make an Ed25519 key of a seed one that OpenSSL reads (RFC 8410).
PKCS8 = bytes.fromhex("302e020100300506032b657004220420")


def door(floor, number):
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{floor} {number}"))


def service(team, number):
    return f"team-{team}-service-{number}"


def rules():
    """Teams by floors: of five pairs two are allowed, one is in hours, one is denied, one has no rule."""
    for floor in range(FLOORS):
        if floor % FLOORS_PER_SITE:
            yield f"p, role:staff, entrance:{door(floor, 0)}, grant, deny"
        else:
            yield f"p, role:guards, zone:site-{floor // FLOORS_PER_SITE}, grant, allow"
    says = ["allow", "allow", f"allow, {HOURS}", "deny", None]
    for team in range(TEAMS):
        for floor in range(FLOORS):
            if effect := says[(team + floor) % 5]:
                yield f"p, role:team-{team}, zone:floor-{floor}, grant, {effect}"


def links():
    for team in range(TEAMS):
        yield from (f"g, caller:{service(team, n)}, role:team-{team}" for n in range(SERVICES))
        yield f"g, role:team-{team}, role:department-{team // TEAMS_PER_DEPARTMENT}"
    yield from (f"g, role:department-{n}, role:staff" for n in range(TEAMS // TEAMS_PER_DEPARTMENT))
    yield from ("g, caller:guards, role:guards", "g, role:guards, role:staff")
    for floor in range(FLOORS):
        yield from (f"g2, entrance:{door(floor, n)}, zone:floor-{floor}" for n in range(DOORS))
        yield f"g2, zone:floor-{floor}, zone:site-{floor // FLOORS_PER_SITE}"


def policy(directory):
    """Into a site. Gives the text of the rules, and the same with one rule that allows more."""
    text = "\n".join([*rules(), *links()]) + "\n"
    edited = text.replace(f"p, role:team-0, zone:floor-3, grant, deny\n", "p, role:team-0, zone:floor-3, grant, allow\n", 1)
    assert edited != text
    (directory / "policies" / "policy.csv").write_text(text)
    (directory / "policies" / "candidate.csv").write_text(edited)
    names = [f"{door(f, n)},floor {f} door {n},{SYSTEM}\n" for f in range(FLOORS) for n in range(DOORS)]
    (directory / "policies" / "entrances.csv").write_text("entrance_id,display_name,acs_system_id\n" + "".join(names))
    callers = [service(team, n) for team in range(TEAMS) for n in range(SERVICES)] + ["guards"]
    with (directory / "callers.toml").open("a") as out:
        out.writelines(f'\n[[caller]]\nid = "{one}"\n' for one in callers)
    return text, edited


class Tree:
    """RFC 6962, section 2.1: the heads of the complete subtrees, the largest first."""

    def __init__(self):
        self.size, self.heads = 0, []

    def add(self, line):
        head, rest = hashlib.sha256(b"\0" + line).digest(), self.size
        while rest & 1:
            head, rest = hashlib.sha256(b"\1" + self.heads.pop() + head).digest(), rest >> 1
        self.heads.append(head)
        self.size += 1

    def root(self):
        root = self.heads[-1]
        for head in self.heads[-2::-1]:
            root = hashlib.sha256(b"\1" + head + root).digest()
        return root


class Signer:
    """Ed25519 by OpenSSL, in the form of C2SP's signed-note."""

    def __init__(self, key, work):
        _, _, self.name, number, secret = key.strip().split("+", 4)
        self.number = bytes.fromhex(number)
        self.file = work / "signing.der"
        self.file.write_bytes(PKCS8 + base64.b64decode(secret)[1:])

    def sign(self, text, work):
        file = work / f"{uuid.uuid4()}.note"
        file.write_text(text)
        command = ["openssl", "pkeyutl", "-sign", "-rawin", "-keyform", "DER", "-inkey", self.file, "-in", file]
        signature = subprocess.run(command, check=True, capture_output=True, timeout=20).stdout
        file.unlink()
        assert len(signature) == 64
        return f"{text}\n— {self.name} {base64.b64encode(self.number + signature).decode()}\n"


def entries(count, revisions, chance):
    """Decisions with their outcomes: services of any team at doors of a few floors. Gives event and fields."""
    begin = datetime.now(timezone.utc) - timedelta(days=DAYS, minutes=5)
    step = timedelta(days=DAYS) * RECORDS_PER_DECISION / count
    revision, candidate = revisions
    yield begin, "log.start", {"version": "0.1.0", "pid": 1, "revision": revision}
    for number in range(count):
        at = begin + (number + 1) * step
        # Some teams ask often, and most seldom.
        team = int(TEAMS * chance.random() ** 3)
        place = chance.choices(range(5), weights=[40, 40, 14, 3, 3])[0]
        floor = (place - team + chance.choice([0, 5, 10, 15])) % FLOORS
        allowed = place < 3
        reason = "allowed-by-rule" if allowed else ("denied-by-rule" if place == 3 else "no-rule-matches")
        milliseconds = int(at.timestamp() * 1000)
        request = f"{milliseconds >> 16:08x}-{milliseconds & 0xffff:04x}-7{chance.getrandbits(12):03x}-8{chance.getrandbits(12):03x}-{chance.getrandbits(48):012x}"
        line = 1 + chance.randrange(100_000)
        yield at, "grant.decision", {
            "request_id": request,
            "caller": service(team, chance.randrange(SERVICES)),
            "credential": "token:2026-11",
            "peer": f"10.0.0.{team % 200}:{40_000 + number % 20_000}",
            "entrance_id": door(floor, chance.randrange(1, DOORS)),
            "user_identity_id": f"{chance.randrange(20_000):08x}-0000-4000-8000-000000000000",
            "decision": "allow" if allowed else "deny",
            "reason": reason,
            "rules": [f"policies/policy.csv:{line}"] if place < 4 else [],
            "revision": revision,
            "body_sha256": f"{chance.getrandbits(256):064x}",
            "candidate": {
                "revision": candidate,
                "decision": "allow" if allowed or (team == 0 and floor == 3) else "deny",
                "reason": "allowed-by-rule" if allowed or (team == 0 and floor == 3) else reason,
            },
        }
        if allowed:
            yield at + timedelta(milliseconds=40), "grant.outcome", {
                "request_id": request,
                "decision_seq": None,
                "outcome": "unknown" if chance.random() < 0.0001 else "granted",
                "reason": "allowed-by-rule",
                "status": 200,
                "seam_request_id": str(uuid.UUID(int=chance.getrandbits(128))),
                "upstream_ms": chance.randrange(20, 400),
            }


def log(directory, work, count, revisions):
    """So many records, closed in order. Gives how many there are with the last checkpoint."""
    signer = Signer((directory / "secrets" / "audit_signing_key").read_text(), work)
    audit = directory / "audit"
    audit.mkdir(exist_ok=True)
    tree, out, length, now, decision = Tree(), (audit / f"{1:020}.jsonl").open("wb"), 0, None, None

    def write(event, fields):
        nonlocal length
        stamp = now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        record = {"v": 1, "seq": tree.size + 1, "time": stamp, "event": event, **fields}
        line = json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()
        out.write(line + b"\n")
        length += len(line) + 1
        tree.add(line)

    def checkpoint():
        nonlocal out, length
        # Segments begin with one.
        if length > SEGMENT_BYTES:
            out.close()
            out, length = (audit / f"{tree.size + 1:020}.jsonl").open("wb"), 0
        root = base64.b64encode(tree.root()).decode()
        text = signer.sign(f"{signer.name}\n{tree.size}\n{root}\n", work)
        heads = [base64.b64encode(head).decode() for head in tree.heads]
        write("log.checkpoint", {"size": tree.size, "root": root, "hashes": heads, "checkpoint": text})
        (audit / "checkpoint").write_text(text)

    covered = 0
    for now, event, fields in entries(count, revisions, random.Random(1)):
        if event == "grant.decision":
            if tree.size >= count:
                break
            # Its outcome follows each decision, so that none is open here.
            if tree.size - covered >= CHECKPOINT_EVERY:
                checkpoint()
                covered = tree.size
            decision = tree.size + 1
        write(event, {**fields, "decision_seq": decision} if "decision_seq" in fields else fields)
    write("log.stop", {})
    checkpoint()
    out.close()
    return tree.size
