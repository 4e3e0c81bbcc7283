"""Makes quantised checkpoints with `mlx_lm`, as thousands lie on the hub, and their logits.

The weights are drawn and written as in `make_checkpoints.py`, then `mlx_lm` converts them. The reference is
`transformers` on the weights `scale * q + bias`, computed without rounding from what the file holds: that is what a
matrix product that keeps its sums in float32 sees, `mlx`'s own among them.
"""

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import torch
from mlx_lm.utils import load_model, quantize_model, save_config, save_model
from safetensors.torch import save_file
from transformers import LlamaForCausalLM
from transformers.utils import logging

from common import record_versions
from make_checkpoints import Case, llama_config, logits_of, random_tokens, shape, write_weights


@dataclass(frozen=True)
class Quantized:
    """A checkpoint to convert, and how."""

    source: Case
    bits: int
    group_size: int
    predicate: Callable[[str, Any], bool | dict[str, int]] | None = None


def eight_bit_ends(path: str, _module: Any) -> bool | dict[str, int]:
    """What careful converters do: more bits for the embedding, none for the head, one finer layer."""
    if path == "lm_head":
        return False
    if path == "model.embed_tokens":
        return {"group_size": 32, "bits": 8}
    if path == "model.layers.1.self_attn.v_proj":
        return {"group_size": 32, "bits": 4}
    return True


CASES = [
    Quantized(
        Case(
            "mlx-q4",
            "MLX's layout, 4 bits in groups of 32, tied: the embedding is quantised and is the head too; bf16 scales",
            40,
            shape(64, 4, 2, 96, 2, 131, tie_word_embeddings=True),
            dtype=torch.bfloat16,
        ),
        bits=4,
        group_size=32,
    ),
    Quantized(
        Case(
            "mlx-mixed",
            "4 bits in groups of 64 with exceptions in config.json: another width, another group, a head that is not "
            "quantised, biases, and rows of 52 that no group divides; f16 scales",
            40,
            shape(64, 4, 4, 52, 2, 97, attention_bias=True),
            dtype=torch.float16,
        ),
        bits=4,
        group_size=64,
        predicate=eight_bit_ends,
    ),
    Quantized(
        Case("mlx-q8", "8 bits in groups of 128, f32 scales", 40, shape(128, 2, 1, 128, 1, 67, head_dim=32)),
        bits=8,
        group_size=128,
    ),
]


def float64(array: mx.array) -> np.ndarray:
    return np.array(array.astype(mx.float32)).astype(np.float64)


def dequantized(folder: Path) -> dict[str, torch.Tensor]:
    """The weights of an MLX-layout folder in float64. Bits a weight and the group follow from the shapes."""
    stored: dict[str, mx.array] = {}
    for file in sorted(folder.glob("model*.safetensors")):
        stored |= mx.load(str(file))
    quantization = json.loads((folder / "config.json").read_text())["quantization"]
    weights = {}
    for name, array in stored.items():
        module = name.removesuffix(".weight")
        if f"{module}.scales" not in stored:
            weights[name] = torch.from_numpy(float64(array))
        elif name.endswith(".weight"):
            bits = (quantization | quantization.get(module, {}))["bits"]
            scales, biases = (float64(stored[f"{module}.{part}"])[..., None] for part in ("scales", "biases"))
            q = np.array(array)[..., None] >> np.arange(0, 32, bits, dtype=np.uint32) & (2**bits - 1)
            values = q.reshape(*scales.shape[:2], -1) * scales + biases
            weights[name] = torch.from_numpy(values.reshape(len(values), -1))
    return {name: w for name, w in weights.items() if not name.endswith((".scales", ".biases"))}


def convert(case: Quantized) -> None:
    """The folder as `mlx_lm.convert` would leave it, without a tokenizer."""
    folder = case.source.folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_weights(case.source)
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary) / case.source.name
        shutil.move(folder, source)
        model, config = load_model(source)
        model, config = quantize_model(model, config, case.group_size, case.bits, quant_predicate=case.predicate)
        save_model(folder, model)
        save_config(config, folder / "config.json")


def write_expected(case: Quantized) -> None:
    folder, tokens = case.source.folder, random_tokens(case.source)
    reference = LlamaForCausalLM(llama_config(case.source.hub_config)).double().eval()
    reference.load_state_dict(dequantized(folder), strict=False)
    reference.tie_weights()
    logits = logits_of(reference, tokens)
    save_file(
        {"tokens": tokens.to(torch.int32), "logits": logits.float()},
        folder / "expected.safetensors",
        metadata={"why": case.source.why},
    )
    model, _config = load_model(folder)
    model.set_dtype(mx.float32)  # activations too: in bf16 they alone are off by 5 %
    by_mlx = torch.from_numpy(float64(model(mx.array(tokens.numpy())[None])[0]))
    apart = ((by_mlx - logits).abs().max() / logits.abs().max()).item()
    print(f"{case.source.name:12} logits std {logits.std():.2f}; mlx_lm itself is {apart:.1e} of the maximum away")
    assert apart < 1e-5


def main() -> None:
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    mx.set_default_device(mx.cpu)
    for case in CASES:
        convert(case)
        write_expected(case)
    record_versions(Path(__file__).name, "mlx", "mlx-lm", "torch", "transformers", "safetensors")


if __name__ == "__main__":
    main()
