"""Conversations and texts made from templates written for this model: what a stranger tries first, in many forms."""

import random
from collections.abc import Callable, Iterator
from typing import Any

from . import arithmetic, knowledge, lists, poems, smalltalk, stories, tools, words

Documents = Iterator[dict[str, Any]]


def with_system(rng: random.Random, documents: Documents) -> Documents:
    """Puts a system message before some of the conversations."""
    for document in documents:
        if rng.random() < 0.15:
            document["messages"].insert(0, {"role": "system", "content": rng.choice(smalltalk.SYSTEMS)})
        yield document


def mixed(rng: random.Random, count: int) -> Documents:
    """Conversations that change the subject."""
    kinds = [smalltalk, arithmetic, knowledge, lists, words, stories, poems]
    for _ in range(count):
        messages = []
        for kind in rng.choices(kinds, [4, 2, 3, 2, 2, 1, 1], k=rng.choice([2, 2, 3])):
            messages += next(iter(kind.generate(rng, 1)))["messages"]
        yield {"messages": messages, "source": "synthetic"}


def conversations() -> Documents:
    rng = random.Random(7)
    sizes = [(smalltalk, 26_000), (arithmetic, 26_000), (knowledge, 26_000), (lists, 14_000), (words, 20_000), (stories, 14_000), (poems, 5_000)]
    for kind, count in sizes:
        yield from with_system(rng, kind.generate(rng, count))
    yield from with_system(rng, mixed(rng, 14_000))


def texts() -> Documents:
    rng = random.Random(8)
    yield from stories.texts(rng, 6_000)
    yield from poems.texts(rng, 1_000)
    yield from knowledge.texts(rng, 6_000)


def function_calls() -> Documents:
    return tools.generate(random.Random(9), 24_000)


def easy_calls() -> Documents:
    return tools.easy(random.Random(10), 12_000)


GENERATORS: dict[str, Callable[[], Documents]] = {
    "synthetic": conversations,
    "synthetic-text": texts,
    "synthetic-tools": function_calls,
    "synthetic-calls": easy_calls,
}
