"""Draws the loss curve as a small SVG from the logs of both stages."""

import argparse
import json
from pathlib import Path

from shape import choose

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 640, 300, 44, 34, 14


def points(folder: Path) -> list[tuple[str, float, float]]:
    """(stage, millions of tokens since the very beginning, loss); the latest entry counts where a run was repeated."""
    found, before = [], 0.0
    for stage in ("pretrain", "finetune"):
        path = folder / f"{stage}.log.jsonl"
        entries = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        found += [(stage, before + e["tokens"] / 1e6, e["loss"]) for e in entries if "loss" in e]
        before = found[-1][1] if found else 0.0
    return found


def draw(found: list[tuple[str, float, float]]) -> str:
    most = max(x for _, x, _ in found)
    low, high = int(min(y for _, _, y in found)), max(y for _, _, y in found)
    across = lambda x: LEFT + (WIDTH - LEFT - 12) * x / most
    down = lambda y: TOP + (HEIGHT - TOP - BOTTOM) * (high - y) / (high - low)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
    ]
    for y in range(low, int(high) + 1):
        parts.append(f'<path d="M{LEFT} {down(y):.0f}H{WIDTH - 12}" stroke="#ddd"/><text x="{LEFT - 8}" y="{down(y) + 4:.0f}" text-anchor="end">{y}</text>')
    for i in range(5):
        x = most * i / 4
        parts.append(f'<text x="{across(x):.0f}" y="{HEIGHT - 16}" text-anchor="middle">{x:.3g}M</text>')
    for stage, colour in (("pretrain", "#2563eb"), ("finetune", "#c2410c")):
        line = " ".join(f"{across(x):.1f},{down(y):.1f}" for s, x, y in found if s == stage)
        if line:
            parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 2}" text-anchor="middle">tokens; training loss per token in pretraining (blue), per answer token in finetuning (orange)</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    options, _, paths = choose(parser)
    options.out.write_text(draw(points(paths.checkpoints)))
