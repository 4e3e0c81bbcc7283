"""What the network reads in which phase, as shares of its tokens.

The corpus is small and old: the simple and modern parts are weighed up, the hardest books down. The pretraining ends
(as the learning rate decays) on more chat and more made-up conversations; finetuning keeps some plain prose, so that completing
text is not forgotten.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from encode import NO_LOSS, read_ids

Shares = dict[str, float]

BASE: dict[str, Shares] = {
    "stable": {
        "books-a": 0.42, "books-b": 0.15, "books-c": 0.05, "textbooks": 0.10, "simple": 0.05,
        "practice": 0.05, "chat": 0.05, "tools": 0.03, "synthetic": 0.06, "synthetic-text": 0.03, "synthetic-tools": 0.01,
    },
    "decay": {
        "books-a": 0.22, "books-b": 0.05, "books-c": 0.01, "textbooks": 0.10, "simple": 0.07,
        "practice": 0.05, "chat": 0.13, "tools": 0.05, "synthetic": 0.20, "synthetic-text": 0.05, "synthetic-tools": 0.05,
        "synthetic-calls": 0.03,
    },
    "finetune": {
        "books-a": 0.05, "textbooks": 0.03, "simple": 0.04, "synthetic-text": 0.03,
        "chat": 0.20, "tools": 0.09, "synthetic": 0.38, "synthetic-tools": 0.13, "synthetic-calls": 0.05,
    },
}  # fmt: skip
SMALL: dict[str, Shares] = {
    "stable": {"books-a": 0.05, "simple": 0.03, "synthetic-text": 0.12, "chat": 0.02, "synthetic": 0.60, "synthetic-tools": 0.06, "synthetic-calls": 0.12},
    "decay": {"books-a": 0.05, "simple": 0.02, "synthetic-text": 0.10, "chat": 0.01, "synthetic": 0.65, "synthetic-tools": 0.02, "synthetic-calls": 0.15},
    "finetune": {"books-a": 0.03, "simple": 0.02, "synthetic-text": 0.05, "synthetic": 0.68, "synthetic-tools": 0.02, "synthetic-calls": 0.20},
}
"""A network that sees only some millions of tokens must spend them on what it is for."""
MIXTURES = {"base": BASE, "small": SMALL, "toy": SMALL}


class Stream:
    """The documents of one group, in a new order each time around.

    A row starts with a document and is filled with whole ones; the last is cut. At use every text starts at position 0, so
    training should show that too.
    """

    def __init__(self, ids: np.ndarray, stop: int, rng: np.random.Generator):
        ends = np.flatnonzero(ids & (NO_LOSS - 1) == stop) + 1
        self.documents = np.split(ids, ends[:-1])
        self.rng = rng
        self.order: list[int] = []

    def row(self, length: int) -> np.ndarray:
        parts: list[np.ndarray] = []
        missing = length
        while missing > 0:
            if not self.order:
                self.order = self.rng.permutation(len(self.documents)).tolist()
            parts.append(self.documents[self.order.pop()][:missing])
            missing -= len(parts[-1])
        return np.concatenate(parts)


class Mixture:
    def __init__(self, folder: Path, stop: int, seed: int, drawn: dict[str, int]):
        self.rng = np.random.default_rng(seed)
        self.streams = {
            path.name.removesuffix(".ids.xz"): Stream(read_ids(path), stop, self.rng)
            for path in sorted(folder.glob("*.ids.xz"))
            if "held-out" not in path.name
        }
        self.drawn = drawn

    def batch(self, shares: Shares, rows: int, length: int) -> np.ndarray:
        """Rows of `length` ids; a group whose file is absent gives its share to the others."""
        names = [n for n in shares if n in self.streams]
        weights = np.array([shares[n] for n in names])
        picks = self.rng.choice(len(names), size=rows, p=weights / weights.sum())
        for pick in picks:
            self.drawn[names[pick]] = self.drawn.get(names[pick], 0) + length
        return np.stack([self.streams[names[pick]].row(length) for pick in picks])


def held_out(folder: Path, length: int, rows: int = 64) -> Iterator[tuple[str, np.ndarray]]:
    """Each group's held-out text, cut into at most `rows` rows."""
    for path in sorted(folder.glob("*.held-out.ids.xz")):
        ids = read_ids(path)
        count = min(rows, len(ids) // length)
        if count:
            yield path.name.removesuffix(".held-out.ids.xz"), ids[: count * length].reshape(count, length)
