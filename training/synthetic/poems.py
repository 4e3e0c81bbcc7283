"""Short rhymed poems: couplets of a theme in a new order."""

import random
from collections.abc import Iterator
from typing import Any

from .spin import blocks, capital, exchange, favour, spin, typed

ASK = "{Write|Write me|Can you write|Please write|Make|Give me|Compose|Tell me|I want|Could you write} a {short |little |nice |small ||||}{poem|poem|poem|verse|rhyme} about [t]{.||?}"


def themes() -> list[tuple[list[str], list[str]]]:
    """(subjects, couplets)."""
    return [
        ([s.strip() for s in title.split("|")[1].split(";")], ["\n".join(half.strip() for half in line.split("|")) for line in lines])
        for title, lines in blocks("poems.txt")
    ]  # fmt: skip


THEMES = themes()


def poem(rng: random.Random, couplets: list[str]) -> str:
    chosen = rng.sample(couplets, min(rng.choice([2, 2, 2, 3, 3, 4]), len(couplets)))
    lines = [capital(line) for line in "\n".join(chosen).split("\n")]
    return "\n".join(lines) if rng.random() < 0.5 else "\n\n".join("\n".join(lines[i : i + 4]) for i in range(0, len(lines), 4))


def generate(rng: random.Random, count: int) -> Iterator[dict[str, Any]]:
    for _ in range(count):
        subjects, couplets = favour(rng, THEMES)
        if rng.random() < 0.08:
            question = spin(rng, "{Write a poem|Write me a poem|Tell me a poem|Can you write a poem|A poem, please|Do you know a poem|Make a rhyme}{.|?|}")
        else:
            question = spin(rng, ASK, t=rng.choice(subjects))
        text = poem(rng, couplets)
        if rng.random() < 0.1:
            text = rng.choice(["Here is a poem:", "Here is a short poem:", "Sure!"]) + "\n\n" + text
        yield exchange(typed(rng, question), text)


def texts(rng: random.Random, count: int) -> Iterator[dict[str, Any]]:
    for _ in range(count):
        subjects, couplets = rng.choice(THEMES)
        yield {"text": capital(rng.choice(subjects)) + "\n\n" + poem(rng, couplets), "source": "synthetic"}
