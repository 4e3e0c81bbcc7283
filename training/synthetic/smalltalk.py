"""Greetings, questions about the model itself, feelings, jokes, and honest "I don't know"."""

import random
from collections.abc import Iterator
from typing import Any

from .spin import blocks, capital, exchange, spin, typed
from .tables import CITIES, LANGUAGES, NAMES, NONSENSE, SURNAMES

INTENTS = [
    ([q[2:] for q in lines if q.startswith("? ")], [a[2:] for a in lines if a.startswith("= ")])
    for _, lines in blocks("smalltalk.txt")
]
WEIGHTS = [5, 2] + [1] * (len(INTENTS) - 2)
"""A greeting is what most people try first."""
SYSTEMS = (
    "You are a helpful assistant.|You are a friendly assistant.|You are MobileLLM's small default model.|Answer briefly.|"
    "You are a kind and helpful assistant.|Be short and clear.|You are a helpful AI assistant.|You answer questions.|"
    "You are a small language model that runs in a web page.|Answer in a friendly way.|You are a polite assistant."
).split("|")


def turn(rng: random.Random, intent: int | None = None) -> tuple[str, str]:
    questions, answers = rng.choices(INTENTS, WEIGHTS)[0] if intent is None else INTENTS[intent]
    slots = dict(
        city=rng.choice(CITIES), name=rng.choice(NAMES), surname=rng.choice(SURNAMES), nonsense=rng.choice(NONSENSE),
        language=rng.choice(list(LANGUAGES.values()) + ["Latin", "Korean", "Dutch", "Hindi"]),
        code=rng.choice("Python|JavaScript|C++|Java|Rust|HTML|Go|Ruby".split("|")),
    )  # fmt: skip
    question = spin(rng, rng.choice(questions), **slots)
    return typed(rng, capital(question)), spin(rng, rng.choice(answers), **slots)


def generate(rng: random.Random, count: int) -> Iterator[dict[str, Any]]:
    for _ in range(count):
        turns = list(turn(rng))
        while rng.random() < 0.25 and len(turns) < 8:
            turns += turn(rng)
        yield exchange(*turns)
