"""Turns documents into token ids: one uint16 stream a group, compressed.

Each document ends with <|endoftext|>. The top bit of an id says "give no loss here in finetuning": a small vocabulary leaves it
free, and one file then holds both the text and the mask.
"""

import argparse
import lzma
from itertools import islice
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from chat import STOP, render
from prepare import DOCUMENTS, HELD_OUT, Document, read_documents
from shape import choose

NO_LOSS = 1 << 15
BATCH = 512


def encode(tokenizer: Tokenizer, documents: list[Document]) -> np.ndarray:
    stop = tokenizer.token_to_id(STOP)
    texts: list[str] = []
    marks: list[int] = []  # 0: learn; NO_LOSS: do not; -1: this piece ends its document
    for document in documents:
        pieces = [(document["text"], True)] if "text" in document else render(document)
        texts += [text for text, _ in pieces] + [""]
        marks += [0 if learned else NO_LOSS for _, learned in pieces] + [-1]
    out: list[np.ndarray] = []
    for encoding, mark in zip(tokenizer.encode_batch_fast(texts), marks):
        out.append(np.array([stop] if mark == -1 else encoding.ids, dtype=np.uint16) | np.uint16(max(mark, 0)))
    return np.concatenate(out)


def encode_group(tokenizer: Tokenizer, path: Path, limit: int | None) -> np.ndarray:
    documents = list(islice(read_documents(path.stem, path.parent), limit))
    return np.concatenate([encode(tokenizer, documents[i : i + BATCH]) for i in range(0, len(documents), BATCH)])


def read_ids(path: Path) -> np.ndarray:
    """High and low bytes lie apart in the file, since they compress better that way."""
    planes = np.frombuffer(lzma.decompress(path.read_bytes()), dtype=np.uint8).reshape(2, -1)
    return (planes[0].astype(np.uint16) << 8) | planes[1]


def write_ids(path: Path, ids: np.ndarray) -> None:
    planes = np.stack([(ids >> 8).astype(np.uint8), ids.astype(np.uint8)])
    path.write_bytes(lzma.compress(planes.tobytes(), preset=6))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("groups", nargs="*", help="all, if none is named")
    parser.add_argument("--limit", type=int, help="documents of each group at most")
    options, _, paths = choose(parser)
    paths.ids.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer.from_file(str(paths.tokenizer / "tokenizer.json"))
    (paths.ids / "stop.json").write_text(f"{tokenizer.token_to_id(STOP)}\n")
    jobs = [(p, f"{p.stem}.ids.xz") for p in sorted(DOCUMENTS.glob("*.jsonl"))]
    jobs += [(p, f"{p.stem}.held-out.ids.xz") for p in sorted(HELD_OUT.glob("*.jsonl"))]
    for documents, name in jobs:
        if not options.groups or documents.stem in options.groups:
            ids = encode_group(tokenizer, documents, options.limit)
            write_ids(paths.ids / name, ids)
            print(f"{name}: {len(ids):,} tokens", flush=True)
