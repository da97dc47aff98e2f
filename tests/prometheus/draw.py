"""Draws the panels of a dashboard as Grafana lays them out: `draw.py SERIES.json PICTURE.png`.

SERIES.json holds, for each panel: title, type, unit, its place in a grid of 24 columns, and
series as [name, [[time, value], …]].
"""

import json
import sys
from datetime import datetime, timezone

import matplotlib

matplotlib.use("Agg")
import matplotlib.dates
import matplotlib.pyplot as plt

INK, PAPER, PANEL, GRID = "#d8d9da", "#111217", "#181b1f", "#2c3235"
COLOURS = ["#73bf69", "#f2495c", "#5794f2", "#ff9830", "#b877d9", "#fade2a", "#8ab8ff", "#ffa6b0"]


def shown(value, unit):
    """As Grafana writes it."""
    if unit == "bool_yes_no":
        return "Yes" if value else "No"
    if unit == "s":
        for size, name in [(86_400, "days"), (3_600, "hours"), (1, "s"), (1e-3, "ms")]:
            if abs(value) >= size:
                return f"{value / size:.3g} {name}"
        return f"{value * 1e6:.3g} µs"
    return f"{value:.3g}"


def draw(panels, file):
    rows = max(panel["y"] + panel["h"] for panel in panels)
    plt.rcParams.update({"font.size": 8, "text.color": INK, "font.family": "DejaVu Sans"})
    width, height = 16, rows * 0.36
    figure = plt.figure(figsize=(width, height), facecolor=PAPER)
    for panel in panels:
        # The panel's place in inches, less a margin for its title and the labels of its axes.
        left, bottom = panel["x"] / 24 * width + 0.6, (rows - panel["y"] - panel["h"]) * 0.36 + 0.3
        wide, high = panel["w"] / 24 * width - 0.75, panel["h"] * 0.36 - 0.65
        place = (left / width, bottom / height, wide / width, high / height)
        axes = figure.add_axes(place, facecolor=PANEL)
        axes.set_title(panel["title"], loc="left", fontsize=9, color=INK)
        for spine in axes.spines.values():
            spine.set_color(GRID)
        unit = panel["unit"]
        if panel["type"] == "stat":
            axes.set_xticks([])
            axes.set_yticks([])
            value = panel["series"][0][1][-1][1]
            axes.text(0.5, 0.5, shown(value, unit), ha="center", va="center", fontsize=20, color=COLOURS[0])
            continue
        for number, (name, points) in enumerate(panel["series"]):
            times = [datetime.fromtimestamp(time, timezone.utc) for time, _ in points]
            values = [value for _, value in points]
            axes.plot(times, values, label=name, color=COLOURS[number % len(COLOURS)], linewidth=1.1)
        axes.xaxis.set_major_formatter(matplotlib.dates.DateFormatter("%H:%M:%S"))
        axes.xaxis.set_major_locator(matplotlib.dates.AutoDateLocator(minticks=2, maxticks=6))
        axes.yaxis.set_major_formatter(lambda value, _, unit=unit: shown(value, unit))
        # Room for the legend above the curves.
        axes.set_ylim(0, axes.get_ylim()[1] * 1.35)
        axes.tick_params(colors=INK, labelsize=7)
        axes.grid(color=GRID, linewidth=0.5)
        legend = axes.legend(fontsize=6, loc="upper left", ncols=4, facecolor=PANEL, edgecolor=GRID, framealpha=0.7)
        for text in legend.get_texts():
            text.set_color(INK)
    figure.savefig(file, dpi=80, facecolor=PAPER)


with open(sys.argv[1]) as source:
    draw(json.load(source), sys.argv[2])
