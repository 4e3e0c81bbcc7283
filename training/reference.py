"""Writes what `transformers` computes from the bf16 folder for one prompt, for the tests of the shipped, quantised folder.

At a few positions it keeps the highest logits and the spread of all of them, which bound the error of quantisation; and for the same
tokens what `model.py` computes with the weights as they read back after quantisation, which the engine must match closely.
"""

import argparse
import json
from pathlib import Path

import torch
from transformers import AutoTokenizer, LlamaForCausalLM

from evaluate import load
from shape import Shape, choose

QUESTION = "Tell me a story about a dragon"
POSITIONS = [0, 3, 7, -1]
TOP = 16


def reference(folder: Path, shape: Shape) -> dict:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    text = tokenizer.apply_chat_template([{"role": "user", "content": QUESTION}], add_generation_prompt=True, tokenize=False)
    ids = tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids
    with torch.no_grad():
        logits = model(ids).logits[0]
        network = load(folder, shape, "cpu")
        network.quantised = True
        shipped = network(ids)[0]
    rows = []
    for position in POSITIONS:
        values, top = logits[position].topk(TOP)
        rows.append(
            {
                "position": position % ids.shape[1],
                "ids": top.tolist(),
                "logits": [round(v, 4) for v in values.tolist()],
                "shipped": [round(v, 4) for v in shipped[position, top].tolist()],
                "mean": round(logits[position].mean().item(), 4),
                "deviation": round(logits[position].std().item(), 4),
            }
        )
    return {"text": text, "ids": ids[0].tolist(), "rows": rows}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--out", type=Path, default=Path("../tests/reference/default_model.json"))
    options, shape, paths = choose(parser)
    options.out.write_text(json.dumps(reference(options.model or paths.model, shape), indent=1) + "\n")
