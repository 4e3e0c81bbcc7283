"""Writes a checkpoint as a Hugging Face folder, in bf16, which `transformers.LlamaForCausalLM` loads.

    python export.py --shape base

With --mlx OUT it also writes the quantised folder (the MLX layout) from Python, the reference for the engine's own `mobilellm quantize`.
"""

import argparse
import json
import shutil
from pathlib import Path

from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor

from affine import GROUP, pack, quantise
from chat import END, STOP
from shape import Shape, choose

SHARD_BYTES = 16 * 2**20
GENERATION = {"do_sample": True, "temperature": 0.5, "top_p": 0.9, "top_k": 40, "max_new_tokens": 400}
"""No repetition penalty: it would forbid the words of the question, which sums and calls must say again."""


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_shards(folder: Path, tensors: dict[str, Tensor]) -> None:
    """Shards of at most SHARD_BYTES with the usual index, in the order of the network."""
    shards: list[dict[str, Tensor]] = [{}]
    left = SHARD_BYTES - 100_000  # for the header
    for name, tensor in tensors.items():
        if tensor.nbytes > left:
            shards.append({})
            left = SHARD_BYTES - 100_000
        left -= tensor.nbytes
        shards[-1][name] = tensor
    if len(shards) == 1:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return
    index: dict[str, str] = {}
    for i, shard in enumerate(shards, 1):
        name = f"model-{i:05}-of-{len(shards):05}.safetensors"
        save_file(shard, folder / name, metadata={"format": "pt"})
        index |= dict.fromkeys(shard, name)
    total = sum(t.nbytes for t in tensors.values())
    write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": index})


def write_settings(folder: Path, shape: Shape, tokenizer_folder: Path, quantization: dict | None = None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer.from_file(str(tokenizer_folder / "tokenizer.json"))
    eos, pad = [tokenizer.token_to_id(END), tokenizer.token_to_id(STOP)], tokenizer.token_to_id(STOP)
    config = shape.huggingface(eos, pad)
    write_json(folder / "config.json", config | ({"quantization": quantization} if quantization else {}))
    write_json(folder / "generation_config.json", {"eos_token_id": eos, "pad_token_id": pad} | GENERATION)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tokenizer_folder / name, folder / name)


def bits_of(name: str, shape: Shape) -> int:
    edge = name.startswith(("model.embed_tokens.", "model.layers.0.", f"model.layers.{shape.layers - 1}."))
    return shape.edge_bits if edge else shape.inner_bits


def export(weights: Path, out: Path, shape: Shape, tokenizer_folder: Path) -> None:
    write_settings(out, shape, tokenizer_folder)
    write_shards(out, {name: tensor.bfloat16() for name, tensor in load_file(weights).items()})


def export_mlx(source: Path, out: Path, shape: Shape) -> None:
    """Quantises the bf16 folder: what training rounded to is what is written."""
    tensors: dict[str, Tensor] = {}
    for path in sorted(source.glob("*.safetensors")):
        tensors |= load_file(path)
    quantization: dict = {"group_size": GROUP, "bits": shape.inner_bits}
    packed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if tensor.ndim == 1:
            packed[name] = tensor
            continue
        bits, base = bits_of(name, shape), name.removesuffix(".weight")
        q, scales, biases = quantise(tensor, bits)
        packed |= {name: pack(q, bits), f"{base}.scales": scales.half(), f"{base}.biases": biases.half()}
        if bits != shape.inner_bits:
            quantization[base] = {"group_size": GROUP, "bits": bits}
    write_settings(out, shape, source, quantization)
    write_shards(out, packed)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, help="a checkpoint's .safetensors; the finetuned one, if none is named")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--mlx", type=Path, help="also write the quantised folder here")
    options, shape, paths = choose(parser)
    out = options.out or paths.model
    export(options.weights or paths.checkpoints / "finetune.safetensors", out, shape, paths.tokenizer)
    if options.mlx:
        export_mlx(out, options.mlx, shape)
