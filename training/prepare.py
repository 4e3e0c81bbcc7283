"""Reads the corpus, adds the synthetic conversations, removes what the evaluation asks, and splits off held-out documents.

Writes one build/documents/<group>.jsonl a group, and build/documents/held-out/<group>.jsonl. A group is what the mixture in
mixture.py weighs: the documents of one kind.
"""

import argparse
import hashlib
import json
import random
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

BUILD = Path(__file__).parent / "build"
DOCUMENTS = BUILD / "documents"
HELD_OUT = DOCUMENTS / "held-out"

Document = dict[str, Any]
"""{"text"} or {"messages", "tools"?}, each with "source"."""

PRACTICE = {"sgd": 0.35, "taskmaster-4": 0.5, "topical-chat": 1.0, "gsm8k-train": 0.5, "opentriviaqa": 0.3}
"""Conversations read in pretraining only, and the share of them kept. They teach English, but as an assistant's answers they teach
a life it has not led, bookings it cannot make and trivia it cannot know."""
DROPPED = {"medquad"}
"""Medical advice: not from a model of this size."""
HELD_OUT_EVERY = 200
OVERLAP_WORDS = 13


def read_zstd(path: Path) -> Iterator[Document]:
    import zstandard  # only this stage needs it

    with zstandard.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def read_documents(group: str, folder: Path = DOCUMENTS) -> Iterator[Document]:
    with open(folder / f"{group}.jsonl", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def windows(text: str, size: int = OVERLAP_WORDS) -> Iterator[int]:
    """A hash of every run of `size` words."""
    tokens = words(text)
    for i in range(len(tokens) - size + 1):
        yield hash(" ".join(tokens[i : i + size]))


class Exam:
    """What the evaluation asks: any 13 words in a row, and every short question as a whole."""

    def __init__(self, folder: Path):
        self.runs: set[int] = set()
        self.questions: set[str] = set()
        for path in sorted(folder.glob("*.jsonl")):
            for line in path.read_text().splitlines():
                row = json.loads(line)
                query = row.get("query") or row.get("question") or ""
                self.runs.update(windows(query))
                for choice in row.get("choices", []):
                    self.runs.update(windows(query + " " + choice))
                self.questions.add(" ".join(words(query)))
        for path in sorted(folder.glob("wikitext2-*-test.txt")):
            self.runs.update(windows(path.read_text()))
        for path in sorted(folder.glob("bfcl/BFCL*.json")):
            for line in path.read_text().splitlines():
                for turn in json.loads(line)["question"]:
                    self.questions.update(" ".join(words(m["content"])) for m in turn)
        self.questions.discard("")

    def asks(self, document: Document) -> bool:
        texts = [document["text"]] if "text" in document else [m["content"] for m in document["messages"]]
        return any(
            " ".join(words(text)) in self.questions or not self.runs.isdisjoint(windows(text)) for text in texts
        )


def corpus_groups(corpus: Path) -> Iterator[tuple[str, Document]]:
    """Every usable document of the corpus with its group."""
    for path in sorted(corpus.glob("pretrain-*.jsonl.zst")):
        group = path.name.removeprefix("pretrain-").removesuffix(".jsonl.zst")
        for document in read_zstd(path):
            yield group, document
    kept = random.Random(1)
    for document in read_zstd(corpus / "chat.jsonl.zst"):
        source = document["source"]
        if source in PRACTICE:
            if kept.random() < PRACTICE[source]:
                yield "practice", document
        elif source not in DROPPED:
            yield "chat", document


def synthetic_groups() -> Iterator[tuple[str, Document]]:
    import synthetic

    for group, generate in synthetic.GENERATORS.items():
        for document in generate():
            yield group, document


def write_groups(documents: Iterable[tuple[str, Document]], exam: Exam) -> None:
    """Splits by a hash of the content, so that a document stays on its side when others come or go."""
    HELD_OUT.mkdir(parents=True, exist_ok=True)
    files: dict[Path, Any] = {}
    counts: dict[str, list[int]] = {}
    seen: set[bytes] = set()
    for group, document in documents:
        line = json.dumps(document, ensure_ascii=False)
        digest = hashlib.sha256(line.encode()).digest()
        count = counts.setdefault(group, [0, 0, 0])
        if digest in seen:
            continue
        seen.add(digest)
        if exam.asks(document):
            count[2] += 1
            continue
        held_out = int.from_bytes(digest[:4], "little") % HELD_OUT_EVERY == 0
        count[held_out] += 1
        path = (HELD_OUT if held_out else DOCUMENTS) / f"{group}.jsonl"
        if path not in files:
            files[path] = open(path, "w", encoding="utf-8")
        files[path].write(line + "\n")
    for file in files.values():
        file.close()
    for group, (kept, held, dropped) in sorted(counts.items()):
        print(f"{group}: {kept} documents, {held} held out, {dropped} dropped as overlapping the evaluation")


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--corpus", type=Path, default=Path("../../shared/corpus"))
    arguments.add_argument("--eval", type=Path, default=Path("../../shared/eval"))
    arguments.add_argument("--only", choices=["corpus", "synthetic"], help="make one kind again")
    options = arguments.parse_args()
    exam = Exam(options.eval)
    if options.only != "synthetic":
        write_groups(corpus_groups(options.corpus), exam)
    if options.only != "corpus":
        from synthetic.tools import from_dialogues

        tools = (("tools", d) for d in from_dialogues(read_zstd(options.corpus / "chat-tools.jsonl.zst")))
        write_groups(tools, exam)
        write_groups(synthetic_groups(), exam)
