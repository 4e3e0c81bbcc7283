"""The stages one after the other, by the commands of the README, on a corpus of a few hundred sentences and in a minute."""

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import zstandard
from transformers import AutoTokenizer, LlamaForCausalLM

from evaluate import CHOICES, load
from shape import SHAPES

HERE = Path(__file__).resolve().parent.parent
WORDS = "the a small old red cat dog ship king child river house tree sees finds likes paints near under with and".split()
ASKED = "which of these thirteen words in a row must never be found in any text that is learned"


def sentence(rng: random.Random, length: int = 12) -> str:
    return " ".join(rng.choices(WORDS, k=length)).capitalize() + "."


def write_lines(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(zstandard.compress(text.encode()) if path.suffix == ".zst" else text.encode())


def write_corpus(folder: Path) -> None:
    rng = random.Random(1)
    texts = [{"text": " ".join(sentence(rng) for _ in range(20)), "title": "t", "source": "books"} for _ in range(600)]
    leak = {"text": f"{sentence(rng)} {ASKED}", "title": "t", "source": "books"}
    write_lines(folder / "pretrain-books-a.jsonl.zst", [*texts, leak])
    asked = [{"role": "user", "content": "What?"}, {"role": "assistant", "content": sentence(rng)}]
    write_lines(folder / "chat.jsonl.zst", [{"messages": asked, "source": "s"}, {"messages": [*asked, {"role": "user", "content": "Short one?"}], "source": "s"}])


def write_exam(folder: Path) -> None:
    for task, count in CHOICES.items():
        query = "The cat _ the dog" if task == "winogrande" else ASKED
        rows = [{"id": i, "query": query, "choices": WORDS[:count], "gold": i % count} for i in range(3)]
        write_lines(folder / f"{task}.jsonl", rows)
    write_lines(folder / "gsm8k_test.jsonl", [{"question": "Short one?"}])
    rng = random.Random(2)
    (folder / "wikitext2-raw-test.txt").write_text(" ".join(sentence(rng) for _ in range(80)))


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Path:
    """A copy of this folder in which every stage has run."""
    folder = tmp_path_factory.mktemp("recipe")
    shutil.copytree(HERE, folder / "training", ignore=shutil.ignore_patterns("build", ".venv", "__pycache__"))
    write_corpus(folder / "corpus")
    write_exam(folder / "eval")
    data = ["--corpus", "../corpus", "--eval", "../eval"]
    train = ["--rows", "2", "--parts", "1", "--eager"]
    for command in (
        ["prepare.py", *data, "--only", "corpus"],
        ["tokenizer.py", "--shape", "toy"],
        ["encode.py", "--shape", "toy"],
        ["train.py", "pretrain", "--shape", "toy", "--seconds", "4", "--stop-after", "3", *train],
        ["train.py", "pretrain", "--shape", "toy", "--seconds", "4", *train],
        ["train.py", "finetune", "--shape", "toy", "--seconds", "2", *train],
        ["export.py", "--shape", "toy", "--mlx", "build/toy/mlx"],
        ["evaluate.py", "--shape", "toy", "--eval", "../eval"],
        ["plot.py", "--shape", "toy", "--out", "build/toy/loss.svg"],
        ["reference.py", "--shape", "toy", "--out", "build/toy/reference.json"],
    ):
        done = subprocess.run([sys.executable, *command], cwd=folder / "training", capture_output=True, text=True)
        assert done.returncode == 0, f"{command}: {done.stderr}"
    return folder / "training" / "build"


def test_what_the_evaluation_asks_is_not_learned(recipe):
    books = (recipe / "documents/books-a.jsonl").read_text()
    assert "Cat" in books and ASKED not in books
    assert (recipe / "documents/held-out/books-a.jsonl").stat().st_size > 0
    assert (recipe / "documents/chat.jsonl").read_text().count("\n") == 1, "a short question counts as a whole"


def test_a_stopped_run_goes_on(recipe):
    entries = [json.loads(line) for line in (recipe / "toy/checkpoints/pretrain.log.jsonl").read_text().splitlines()]
    steps = [entry["step"] for entry in entries if "loss" in entry]
    assert steps == sorted(set(steps))
    first, last = [entry["loss"] for entry in entries if "loss" in entry][:: len(steps) - 1]
    assert last < first


def test_the_exported_folder_is_the_network(recipe):
    folder = recipe / "toy/model"
    ids = AutoTokenizer.from_pretrained(folder)("The cat sees 12 dogs", return_tensors="pt").input_ids
    with torch.no_grad():
        theirs = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()(ids).logits
        torch.testing.assert_close(theirs, load(folder, SHAPES["toy"], "cpu")(ids), rtol=1e-4, atol=1e-4)


def test_everything_is_measured(recipe):
    results = json.loads((recipe / "toy/evaluation.json").read_text())
    assert set(results) == {"held_out_perplexity_bf16", "held_out_perplexity_quantised", "wikitext2", *CHOICES}
    assert all(results[task]["chance"] == pytest.approx(1 / count) for task, count in CHOICES.items())
    # Random words of a list of 22: no model can do better than about that, and one that learned nothing would be in the thousands.
    assert 10 < results["held_out_perplexity_quantised"]["books-a"] < 2000
