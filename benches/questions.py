"""Asks a model the thirty questions of docs/questions.md, and writes its answers, unedited, to docs/answers/NAME.md.

    cargo build --release
    python benches/questions.py NAME MODEL [--temperature 0.7 --top-p 0.8 ...]

NAME is the model's name in models/catalog.json, MODEL its folder or file. Flags after them are passed on to `mobilellm generate`: the
sampling that the catalog recommends. Each question is a chat of its own, on the CPU, with seed 1: the answers are the same on
every machine. A judgement that stands in the file is kept where the answer did not change. Needs nothing but Python.
"""

import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = os.environ.get("MOBILELLM", str(ROOT / "target/release/mobilellm"))
FIXED = ["--backend", "cpu", "--seed", "1", "--max-tokens", "400"]
UNJUDGED = "?"


def main() -> None:
    name, model, *sampling = sys.argv[1:]
    path = ROOT / "docs/answers" / f"{name}.md"
    before = judgements(path)
    sections = []
    for number, question in questions():
        answer = ask(model, question, sampling)
        judged = before.get((number, answer), UNJUDGED)
        sections.append((number, question, answer, judged))
        print(f"{number:2} {judged:7} {question}", flush=True)
        path.parent.mkdir(exist_ok=True)
        path.write_text(document(name, sampling, sections))


def questions() -> list[tuple[int, str]]:
    rows = re.findall(r"^\| (\d+) \| [^|]+ \| (.+?) \| .+ \|$", (ROOT / "docs/questions.md").read_text(), re.M)
    assert len(rows) == 30, len(rows)
    return [(int(number), question.strip()) for number, question in rows]


def ask(model: str, question: str, sampling: list[str]) -> str:
    command = [PROGRAM, "generate", "--model", model, "--chat", question, "--quiet", "--json", *FIXED, *sampling]
    reply = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    cut = "\n[cut off at 400 tokens]" if reply.get("finish_reason") == "length" else ""
    return reply["text"].strip() + cut


def judgements(path: Path) -> dict[tuple[int, str], str]:
    """By question and answer."""
    if not path.exists():
        return {}
    sections = re.findall(r"^## (\d+)\. .*?\n\n(.*?)\n\nJudged: (.+)$", path.read_text(), re.M | re.S)
    return {(int(number), unquoted(answer)): judged for number, answer, judged in sections}


def document(name: str, sampling: list[str], sections: list[tuple[int, str, str, str]]) -> str:
    counts = {kind: sum(judged.startswith(kind) for *_, judged in sections) for kind in ("good", "partly", "bad", UNJUDGED)}
    total = ", ".join(f"{count} {'not judged' if kind == UNJUDGED else kind}" for kind, count in counts.items() if count)
    head = [
        f"# {name}: answers to the thirty questions",
        f"Judged by the rules of [questions.md](../questions.md): {total}.",
        f"Made by `python benches/questions.py {' '.join([name, 'MODEL', *sampling])}` on {platform.machine()}, with `{' '.join(FIXED)}`.",
    ]
    body = [f"## {number}. {question}\n\n{quoted(answer)}\n\nJudged: {judged}" for number, question, answer, judged in sections]
    return "\n\n".join(head + body) + "\n"


def quoted(answer: str) -> str:
    """As a block that shows every character."""
    return "\n".join(f"    {line}".rstrip() for line in answer.split("\n"))


def unquoted(block: str) -> str:
    return "\n".join(line.removeprefix("    ") for line in block.split("\n"))


if __name__ == "__main__":
    main()
