#!/usr/bin/env python3
"""How far llama.cpp's predictions are from those of its own weights multiplied in float32, as `mobilellm fidelity` measures ours.

    python dequantize_gguf.py MODEL.gguf FOLDER
    python fidelity_llama_cpp.py MODEL.gguf FOLDER [--text FILE] [--chunk 512]

The reference is `mobilellm logits --weights f32` on the folder that dequantize_gguf.py made. Needs numpy, safetensors and
llama-cpp-python; MOBILELLM names the program, `target/release/mobilellm` by default. Prints one JSON object.
"""

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path

import llama_cpp
import numpy as np
from safetensors.numpy import load_file

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = os.environ.get("MOBILELLM", str(ROOT / "target/release/mobilellm"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("gguf", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--text", type=Path, default=ROOT / "src/fidelity/text.txt")
    parser.add_argument("--chunk", type=int, default=512)
    flags = parser.parse_args()
    tokenized = subprocess.run(
        [PROGRAM, "tokenize", "--json", "--model", flags.folder, flags.text.read_text()], check=True, stdout=subprocess.PIPE
    )
    tokens = json.loads(tokenized.stdout)["ids"]
    llama = llama_cpp.Llama(str(flags.gguf), n_ctx=flags.chunk, n_batch=flags.chunk, logits_all=True, n_gpu_layers=0, verbose=False)
    rows = []
    for first in range(0, len(tokens), flags.chunk):
        chunk = tokens[first : first + flags.chunk]
        rows.append(compare(run(llama, chunk), reference(flags.folder, chunk), chunk))
    kl, same, error, power, ours, theirs = (np.concatenate(column) for column in zip(*rows, strict=True))
    report = {
        "positions": len(kl),
        "mean_kl": kl.mean(),
        "p99_kl": np.sort(kl)[int(np.ceil(0.99 * len(kl))) - 1],
        "max_kl": kl.max(),
        "top1_agreement": same.mean(),
        "logit_error": np.sqrt(error.sum() / power.sum()),
        "perplexity": np.exp(ours.mean()),
        "reference_perplexity": np.exp(theirs.mean()),
        "llama_cpp_python": llama_cpp.__version__,
    }
    print(json.dumps({key: value if isinstance(value, str) else float(value) for key, value in report.items()}))


def run(llama: llama_cpp.Llama, tokens: list[int]) -> np.ndarray:
    llama.reset()
    llama.eval(tokens)
    return np.array(llama.scores[: len(tokens)], dtype=np.float64)


def reference(folder: Path, tokens: list[int]) -> np.ndarray:
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "logits.safetensors"
        command = [PROGRAM, "logits", "--quiet", "--backend", "cpu", "--weights", "f32", "--model", folder]
        subprocess.run([*command, "--tokens", ",".join(map(str, tokens)), "--out", out], check=True)
        return load_file(out)["logits"].astype(np.float64)


def compare(run: np.ndarray, reference: np.ndarray, tokens: list[int]) -> tuple[np.ndarray, ...]:
    """Of every position: KL, whether the likeliest token is the same, and mean squares; of every token but the first, surprise."""
    ours, theirs = log_softmax(run), log_softmax(reference)
    kl = (np.exp(theirs) * (theirs - ours)).sum(axis=1)
    centred = reference - reference.mean(axis=1, keepdims=True)
    difference = run - run.mean(axis=1, keepdims=True) - centred
    after = np.arange(len(tokens) - 1), np.array(tokens[1:], dtype=int)
    same = run.argmax(axis=1) == reference.argmax(axis=1)
    return kl, same, (difference**2).mean(axis=1), (centred**2).mean(axis=1), -ours[after], -theirs[after]


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


if __name__ == "__main__":
    main()
