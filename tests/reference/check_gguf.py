#!/usr/bin/env python3
"""Compares what `mobilellm` reads from a GGUF file with what `transformers` makes of the same file in float32.

    python check_gguf.py MODEL.gguf [--backend cpu|gpu] [--tokens 48]

Six prompts: their token ids, the logits of their last token, and the greedy continuation must be the same. Where the
continuations differ, the two best tokens must be closer than 0.05. Needs torch, transformers, gguf, accelerate and
safetensors; MOBILELLM names the program, `target/release/mobilellm` by default. Prints one JSON object; the exit code
is 1 where something differs.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from make_real_models import PROMPTS
from safetensors.numpy import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = os.environ.get("MOBILELLM", str(ROOT / "target/release/mobilellm"))
NEAR_TIE = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("gguf", type=Path)
    parser.add_argument("--backend", default="cpu", choices=["cpu", "gpu"])
    parser.add_argument("--tokens", type=int, default=48)
    flags = parser.parse_args()
    folder, file = str(flags.gguf.resolve().parent), flags.gguf.name
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file)
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=torch.float32).eval()
    rows = [compare(flags, tokenizer, model, prompt) for prompt in PROMPTS]
    print(json.dumps({"model": file, "backend": flags.backend, "prompts": rows}, indent=1))
    sys.exit(0 if all(row["same_ids"] and row["greedy"] != "differs" and row["logits"] < 1e-3 for row in rows) else 1)


def compare(flags: argparse.Namespace, tokenizer: AutoTokenizer, model: AutoModelForCausalLM, prompt: str) -> dict:
    ids = tokenizer(prompt)["input_ids"]
    ours = run("tokenize", "--model", flags.gguf, prompt, "--json")["ids"]
    with torch.no_grad():
        expected = model(torch.tensor([ids])).logits[0, -1].double()
    settings = ["--model", flags.gguf, "--weights", "f32", "--backend", flags.backend, "--int8-tiles", "off", "--quiet"]
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary) / "logits.safetensors"
        run("logits", *settings, "--tokens", ",".join(map(str, ids)), "--out", out, parse=False)
        logits = torch.tensor(load_file(out)["logits"][-1]).double()
    answer = run("generate", *settings, "--prompt", prompt, "--max-tokens", flags.tokens, "--json")
    return {
        "prompt": prompt,
        "same_ids": ids == ours,
        "logits": float((logits - expected).abs().max() / expected.abs().max()),
        "greedy": greedy(model, ids, answer["token_ids"]),
    }


def greedy(model: AutoModelForCausalLM, ids: list[int], chosen: list[int]) -> str:
    """Whether `chosen` are the likeliest tokens one after the other, told from one pass over all of them."""
    if not chosen:
        return "differs"
    with torch.no_grad():
        logits = model(torch.tensor([ids + chosen])).logits[0, len(ids) - 1 : -1].double()
    for row, token in zip(logits, chosen, strict=True):
        best = row.max()
        if row[token] < best:
            return "near tie" if best - row[token] < NEAR_TIE else "differs"
    return "same"


def run(command: str, *flags: object, parse: bool = True) -> dict:
    done = subprocess.run([PROGRAM, command, *map(str, flags)], check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout) if parse else {}


if __name__ == "__main__":
    main()
