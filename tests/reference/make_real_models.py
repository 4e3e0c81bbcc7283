#!/usr/bin/env python3
"""Writes what `transformers` computes from public GGUF files, in float32, to fixtures/real_models.json.

    python make_real_models.py MODEL.gguf ...

For each file and prompt: token ids, 32 greedy tokens with the lead of each over the second best, and every 997th logit of
the prompt's last token. The weights are those of the file, unpacked by `gguf`. tests/real_models.rs reads the fixture and
looks for the files.
Needs torch, transformers, gguf and accelerate.
"""

import hashlib
import json
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

OUT = Path(__file__).resolve().parent / "fixtures/real_models.json"
NUM_TOKENS, STRIDE = 32, 997
PROMPTS = [
    "The capital of France is",
    "def fibonacci(n):\n    ",
    "In 1969, 3 people flew to the moon. The first step on it was",
    "Once upon a time, in a café far away, there lived",
    "Here is a list of fruits:\n- apples\n- pears\n-",
    "2 + 2 = 4, 3 + 3 = 6, 10 + 15 =",
]


def main() -> None:
    models = json.loads(OUT.read_text()) if OUT.exists() else {}
    for path in map(Path, sys.argv[1:]):
        models[path.name] = {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "prompts": expected(path)}
        OUT.write_text(json.dumps(models, ensure_ascii=False) + "\n")


def expected(path: Path) -> list[dict]:
    place = {"pretrained_model_name_or_path": str(path.resolve().parent), "gguf_file": path.name}
    tokenizer = AutoTokenizer.from_pretrained(**place)
    model = AutoModelForCausalLM.from_pretrained(**place, dtype=torch.float32).eval()
    return [run(tokenizer, model, prompt) for prompt in PROMPTS]


@torch.no_grad()
def run(tokenizer: AutoTokenizer, model: AutoModelForCausalLM, prompt: str) -> dict:
    ids = tokenizer(prompt)["input_ids"]
    output = model(torch.tensor([ids]), use_cache=True)
    logits = output.logits[0, -1]
    row = {
        "prompt": prompt,
        "ids": ids,
        "max_logit": round(float(logits.abs().max()), 4),
        "logits": [round(x, 4) for x in logits[::STRIDE].tolist()],
        "greedy": [],
        "leads": [],
    }
    for _ in range(NUM_TOKENS):
        best = output.logits[0, -1].topk(2)
        row["greedy"].append(int(best.indices[0]))
        row["leads"].append(round(float(best.values[0] - best.values[1]), 4))
        output = model(best.indices[:1].unsqueeze(0), past_key_values=output.past_key_values, use_cache=True)
    return row


if __name__ == "__main__":
    main()
