"""The table of results: a line for each goal."""

from statistics import median

from load import ALLOW_8, ALLOW_32, ALLOW_128, DENY_32, NEW, ONE, TWO_CORES

HAPROXY = "haproxy"
COLUMNS = {"haproxy": "HAProxy"}
NO_SYNC = "–"


def spread(found, digits=2):
    least, middle, most = (f"{value:.{digits}f}" for value in (min(found), median(found), max(found)))
    return middle if least == most else f"{middle} ({least} to {most})"


class Report:
    """`rounds` has for each round the results by case and server, `raw` the syncs of each round,
    `memory` the title of each figure, its unit and its value by server."""

    def __init__(self, names, rounds, raw, memory):
        self.names, self.rounds, self.raw, self.memory = names, rounds, raw, memory

    def has(self, case):
        return all((case.name, HAPROXY) in found for found in self.rounds)

    def values(self, case, name, field):
        return [getattr(found[case.name, name], field) for found in self.rounds]

    def ratios(self, case, name, field):
        own, others = self.values(case, name, field), self.values(case, HAPROXY, field)
        return [mine / other for mine, other in zip(own, others)]

    def relative(self, case, field):
        """A ratio to HAProxy for each, and HAProxy's own figure."""

        def cell(name):
            if name == HAPROXY:
                return f"{median(self.values(case, name, field)):.0f} µs"
            return spread(self.ratios(case, name, field))

        return cell

    def latency(self, case):
        """By how many syncs of this disk the median answer comes later than HAProxy's."""

        def cell(name):
            p50, p99 = self.values(case, name, "p50_us"), self.values(case, name, "p99_us")
            both = f"{median(p50):.0f} / {median(p99):.0f} µs"
            if name == HAPROXY:
                return both
            others = self.values(case, HAPROXY, "p50_us")
            later = [(mine - other) / raw[1] for mine, other, raw in zip(p50, others, self.raw)]
            return f"+ {spread(later)} syncs; {both}"

        return cell

    def commits(self, case):
        def cell(name):
            found = self.values(case, name, "commits")
            return spread(found, 3) if any(found) else NO_SYNC

        return cell

    def rows(self):
        cpu = "CPU time ÷ HAProxy's: "
        relative = [
            (ALLOW_32, "≤ 1.10", "≤ 0.85"),
            (ALLOW_128, "≤ 0.90", "≤ 0.65"),
            (ALLOW_8, "≤ 1.50", "≤ 1.15"),
            (DENY_32, "≤ 1.00", "≤ 0.80"),
            (NEW, "≤ 0.50", "≤ 0.45"),
            (TWO_CORES, "≤ 1.20", "≤ 1.00"),
        ]
        found = [(cpu + case.name, case, must, goal, self.relative(case, "cpu_us")) for case, must, goal in relative]
        late = "p50 of one connection after HAProxy's; p50 / p99"
        found += [
            ("p99 ÷ HAProxy's: " + ALLOW_32.name, ALLOW_32, "≤ 1.1", "≤ 0.9", self.relative(ALLOW_32, "p99_us")),
            (late, ONE, "≤ 1.5 syncs", "≤ 1.2 syncs", self.latency(ONE)),
            ("syncs per request: " + ALLOW_32.name, ALLOW_32, "≤ 0.06", "≤ 0.04", self.commits(ALLOW_32)),
            ("syncs per request: " + ALLOW_8.name, ALLOW_8, "≤ 0.20", "≤ 0.16", self.commits(ALLOW_8)),
        ]
        found = [row for row in found if self.has(row[1])]
        for title, (must, unit, values) in self.memory.items():
            found.append((title, None, must, "", lambda name, u=unit, v=values: f"{v[name]:.0f} {u}"))
        return found

    def table(self):
        heads = [COLUMNS.get(name, name) for name in self.names]
        lines = [
            "| | must | goal | " + " | ".join(heads) + " |",
            "|---|---|---|" + "---|" * len(heads),
        ]
        for title, _, must, goal, cell in self.rows():
            cells = [cell(name) for name in self.names]
            lines.append(f"| {title} | {must} | {goal} | " + " | ".join(cells) + " |")
        return "\n".join(lines)

    def disk(self):
        appended, overwritten = (median(found) for found in zip(*self.raw))
        return f"A sync of this disk: {overwritten:.0f} µs to write over 1 KiB durably, {appended:.0f} µs to append it."

    def beyond(self, bounds, name):
        """What is said of each bound of syncs per request that does not hold."""
        said = []
        for case in (ALLOW_32, ALLOW_8):
            bound = bounds.get(case.connections)
            if bound is None:
                continue
            found = median(self.values(case, name, "commits"))
            # None at all would mean that nothing is durable, or nothing counted.
            if not 0 < found <= bound:
                said.append(f"{case.name}: {found:.3f} syncs per request, not within {bound}")
        return said
