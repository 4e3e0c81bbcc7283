"""The small template language of the synthetic data: {this|that} picks one, [slot] is filled in, and a question gets a human's noise."""

import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

INNERMOST = re.compile(r"\{([^{}]*)\}")
SLOT = re.compile(r"\[(\w+)\]")


def spin(rng: random.Random, template: str, **slots: Any) -> str:
    """Fills the slots, which may hold templates themselves, and picks one of each {a|b|c}."""
    for _ in range(3):
        template = SLOT.sub(lambda m: str(slots.get(m[1], m[0])), template)
    while found := INNERMOST.search(template):
        template = template[: found.start()] + rng.choice(found[1].split("|")) + template[found.end() :]
    return template.strip()


def favour(rng: random.Random, options: Sequence[Any]) -> Any:
    """Picks one, the first ones more often: the tables begin with what people ask most."""
    return rng.choices(options, [1 / (1 + 12 * i / len(options)) for i in range(len(options))])[0]


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def article(noun: str) -> str:
    return ("an " if noun[0].lower() in "aeiou" else "a ") + noun


def join(items: list[str], word: str = "and") -> str:
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + f" {word} " + items[-1]


def typed(rng: random.Random, question: str) -> str:
    """The question as people type it: sometimes polite, sometimes without capitals or marks, rarely with a slip."""
    roll = rng.random()
    if roll < 0.06:
        question = rng.choice(["Hi! ", "Hello, ", "Hey, ", "Hi there. ", "OK, ", "Please help me. "]) + question
    elif roll < 0.10 and question[-1] in ".?!":
        question = question[:-1] + rng.choice([", please", " please", ", thanks"]) + question[-1]
    if rng.random() < 0.25:
        question = question.lower()
    if rng.random() < 0.25:
        question = question.rstrip(".?!")
    if rng.random() < 0.03 and len(question) > 12:
        i = rng.randrange(3, len(question) - 2)
        question = question[:i] + question[i + 1 :]
    return question


def exchange(*turns: str) -> dict[str, Any]:
    """A conversation in which user and assistant take turns."""
    roles = ["user", "assistant"] * (len(turns) // 2)
    return {"messages": [{"role": r, "content": t} for r, t in zip(roles, turns)], "source": "synthetic"}


def blocks(name: str) -> list[tuple[str, list[str]]]:
    """A table beside this file: "# title" lines, each with the lines below it."""
    found: list[tuple[str, list[str]]] = []
    for line in (Path(__file__).parent / name).read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            found.append((line[2:].strip(), []))
        elif line.strip():
            found[-1][1].append(line.strip())
    return found
