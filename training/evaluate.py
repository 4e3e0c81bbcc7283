"""Measures a checkpoint: perplexity of held-out text and WikiText-2, and eight commonsense tasks without examples.

    python evaluate.py --shape base --eval ../../shared/eval

Held-out text is measured twice, with the weights as they are (bf16) and as they read back after quantisation; the rest with the
quantised weights, which are the ones that ship. The tasks follow lm-evaluation-harness: the choice with the highest
log-likelihood wins, plainly or per byte of the choice.
"""

import argparse
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor

from encode import NO_LOSS
from mixture import held_out
from model import Network
from shape import Shape, choose

DTYPE = torch.bfloat16
CHOICES = {"arc_easy": 4, "arc_challenge": 4, "boolq": 2, "piqa": 2, "siqa": 3, "hellaswag": 4, "openbookqa": 4, "winogrande": 2}
TOKENS_A_BATCH = 32_768


@dataclass
class Candidate:
    """One choice of one question: the text before, the text that is scored, and the choice's length in bytes."""

    question: int
    context: list[int]
    answer: list[int]
    size: int


def load(folder: Path, shape: Shape, device: str) -> Network:
    tensors = {}
    for path in folder.glob("*.safetensors"):
        tensors |= load_file(path)
    network = Network(shape)
    network.load_huggingface(tensors)
    return network.to(device).eval()


@torch.no_grad()
def log_likelihoods(network: Network, ids: Tensor) -> Tensor:
    """[rows, length] -> the log-probability of each id but the first."""
    logits = network(ids, DTYPE)[:, :-1].float()
    return logits.gather(-1, ids[:, 1:, None]).squeeze(-1) - logits.logsumexp(-1)


def windowed(network: Network, ids: list[int]) -> float:
    """Summed negative log-likelihood, by windows of the full context that move by half of it."""
    device = network.embedding.device
    window, stride = network.shape.context, network.shape.context // 2
    total, scored = 0.0, 1
    for end in range(min(window, len(ids)), len(ids) + stride, stride):
        end = min(end, len(ids))
        start = max(0, end - window)
        part = torch.tensor([ids[start:end]], device=device)
        total -= log_likelihoods(network, part)[0, scored - start - 1 :].sum().item()
        scored = end
        if end == len(ids):
            break
    return total


def wikitext(network: Network, tokenizer: Tokenizer, path: Path) -> dict[str, float]:
    """wikitext-2-raw-v1's test text as one string. By token, by whitespace word and by byte, since tokenizers differ."""
    text = path.read_text(encoding="utf-8")
    ids = tokenizer.encode(text).ids
    loss = windowed(network, ids)
    return {
        "token_perplexity": math.exp(loss / (len(ids) - 1)),
        "word_perplexity": math.exp(loss / len(text.split())),
        "bits_per_byte": loss / math.log(2) / len(text.encode()),
        "tokens": len(ids),
        "words": len(text.split()),
    }


def held_out_perplexity(network: Network, folder: Path) -> dict[str, float]:
    """Perplexity of each group's held-out text in windows of the context's length, over the ids that carry loss."""
    device = network.embedding.device
    found = {}
    for group, rows in held_out(folder, min(network.shape.context, 2048), rows=64 if device.type == "cuda" else 24):
        total = count = 0.0
        for row in torch.from_numpy(rows.astype("int64")).split(8):
            learned = (row < NO_LOSS)[:, 1:].to(device)
            likelihoods = log_likelihoods(network, (row & (NO_LOSS - 1)).to(device))
            total -= (likelihoods * learned).sum().item()
            count += learned.sum().item()
        found[group] = math.exp(total / max(count, 1))
    return found


def frame(task: str, query: str, choice: str) -> tuple[str, str]:
    """The text before a choice, and the choice as it continues that text."""
    if task == "winogrande":
        before, after = query.split("_")
        return before + choice, after
    if task == "siqa":
        return f"Q: {query}\nA:", f" {choice}"
    if task in ("hellaswag", "openbookqa"):
        return query, f" {choice}"
    return f"Question: {query}{'?' if task == 'boolq' else ''}\nAnswer:", f" {choice}"


def candidates(tokenizer: Tokenizer, task: str, rows: list[dict]) -> Iterator[Candidate]:
    for i, row in enumerate(rows):
        for choice in row["choices"]:
            context, answer = frame(task, row["query"], choice)
            yield Candidate(i, tokenizer.encode(context).ids, tokenizer.encode(answer).ids, len(answer.encode()))


def score(network: Network, all_candidates: list[Candidate]) -> list[float]:
    """Log-likelihood of each answer, in batches of similar length."""
    device = network.embedding.device
    scores = [0.0] * len(all_candidates)
    order = sorted(range(len(all_candidates)), key=lambda i: len(all_candidates[i].context) + len(all_candidates[i].answer))
    while order:
        longest = len(all_candidates[order[-1]].context) + len(all_candidates[order[-1]].answer)
        batch, order = order[-max(1, TOKENS_A_BATCH // longest) :], order[: -max(1, TOKENS_A_BATCH // longest)]
        ids = torch.zeros(len(batch), longest, dtype=torch.long)
        mask = torch.zeros(len(batch), longest - 1, dtype=torch.bool)
        for r, i in enumerate(batch):
            c = all_candidates[i]
            end = len(c.context) + len(c.answer)
            ids[r, :end] = torch.tensor(c.context + c.answer)
            mask[r, len(c.context) - 1 : end - 1] = True
        sums = (log_likelihoods(network, ids.to(device)) * mask.to(device)).sum(-1).tolist()
        for i, s in zip(batch, sums):
            scores[i] = s
    return scores


def accuracy(network: Network, tokenizer: Tokenizer, path: Path, limit: int) -> dict[str, float]:
    rows = [json.loads(line) for line in path.read_text().splitlines()][:limit]
    rows = [r for r in rows if r["gold"] is not None]
    all_candidates = list(candidates(tokenizer, path.stem, rows))
    scores = score(network, all_candidates)
    plain = [(-math.inf, 0)] * len(rows)
    normal = [(-math.inf, 0)] * len(rows)
    place = [0] * len(rows)
    for c, s in zip(all_candidates, scores):
        plain[c.question] = max(plain[c.question], (s, -place[c.question]))
        normal[c.question] = max(normal[c.question], (s / c.size, -place[c.question]))
        place[c.question] += 1
    right = lambda best: sum(-b[1] == r["gold"] for b, r in zip(best, rows)) / len(rows)
    return {"accuracy": right(plain), "normalised": right(normal), "chance": 1 / CHOICES[path.stem], "questions": len(rows)}


def evaluate(network: Network, tokenizer: Tokenizer, options: argparse.Namespace, ids: Path) -> Iterator[tuple[str, dict]]:
    """Each result as soon as it is there: on a CPU the tasks take long."""
    network.quantised = False
    yield "held_out_perplexity_bf16", held_out_perplexity(network, ids)
    network.quantised = True
    yield "held_out_perplexity_quantised", held_out_perplexity(network, ids)
    yield "wikitext2", wikitext(network, tokenizer, options.eval / "wikitext2-raw-test.txt")
    for task in CHOICES:
        yield task, accuracy(network, tokenizer, options.eval / f"{task}.jsonl", options.limit)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--eval", type=Path, default=Path("../../shared/eval"))
    parser.add_argument("--limit", type=int, default=10**9, help="questions of each task at most")
    options, shape, paths = choose(parser)
    folder = options.model or paths.model
    network = load(folder, shape, "cuda" if torch.cuda.is_available() else "cpu")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    results = {}
    for name, result in evaluate(network, tokenizer, options, paths.ids):
        results[name] = result
        (paths.build / "evaluation.json").write_text(json.dumps(results, indent=2) + "\n")
        print(name, result, flush=True)
