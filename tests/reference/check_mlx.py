"""Does `mlx` read a folder that `mobilellm quantize` wrote as we do?

    check_mlx.py FOLDER                               loads every tensor, and the model with mlx_lm
    check_mlx.py FOLDER --source FOLDER               ... compares with what mlx itself makes of the source's weights
    check_mlx.py FOLDER --logits FILE --tokens 1,5,7  ... compares mlx_lm's logits with `mobilellm logits --out FILE`

Prints one JSON object; the exit status is 1 if something disagrees.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np

Tensors = dict[str, mx.array]


def load(folder: Path) -> Tensors:
    tensors: Tensors = {}
    for file in sorted(folder.glob("*.safetensors")):
        if not file.name.startswith("expected"):
            tensors |= mx.load(str(file))
    return tensors


def settings(config: dict[str, Any], module: str) -> dict[str, int]:
    """Bits and group size of a module: its own entry, or the default."""
    quantization = config["quantization"]
    own = quantization.get(module)
    own = own if isinstance(own, dict) else {}
    return {key: own.get(key, quantization[key]) for key in ("bits", "group_size")}


def f32(array: mx.array) -> np.ndarray:
    return np.array(array.astype(mx.float32))


def check_weights(stored: Tensors, config: dict[str, Any], source: Tensors | None) -> dict[str, Any]:
    """Shapes fit together for `mx.dequantize`; with a source, every bit is what `mx.quantize` would have written."""
    report: dict[str, Any] = {"quantized": 0, "plain": 0, "differing": []}
    for name, weight in stored.items():
        module = name.removesuffix(".weight")
        if name.endswith((".scales", ".biases")):
            continue
        if f"{module}.scales" not in stored:
            report["plain"] += 1
            if source is not None and not np.array_equal(f32(weight), f32(source[name])):
                report["differing"].append(name)
            continue
        report["quantized"] += 1
        scales, biases, how = stored[f"{module}.scales"], stored[f"{module}.biases"], settings(config, module)
        dequantized = f32(mx.dequantize(weight, scales, biases, **how))
        if not np.isfinite(dequantized).all():
            report["differing"].append(f"{name}: not finite")
        if source is not None:
            theirs = mx.quantize(source[name].astype(scales.dtype), **how)
            for part, ours, other in zip(("weight", "scales", "biases"), (weight, scales, biases), theirs, strict=True):
                if not mx.array_equal(ours, other).item():
                    report["differing"].append(f"{module}.{part}")
            apart = np.abs(dequantized - f32(source[name])).max() / np.abs(f32(source[name])).max()
            report["largest_relative_error"] = max(report.get("largest_relative_error", 0.0), float(apart))
    return report


def mlx_logits(folder: Path, config: dict[str, Any], tokens: list[int]) -> np.ndarray:
    """Logits by mlx_lm in float32. It knows no `mobilellm`, but that is a Llama with tied embeddings."""
    from mlx_lm.utils import load_model

    tied = bool(config.get("tie_word_embeddings") or config.get("share_embedding"))
    model, _ = load_model(folder, model_config={"model_type": "llama", "tie_word_embeddings": tied})
    model.set_dtype(mx.float32)
    return f32(model(mx.array([tokens]))[0])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--source", type=Path, help="the checkpoint that was quantised")
    parser.add_argument("--logits", type=Path, help="what `mobilellm logits` wrote for this folder")
    parser.add_argument("--tokens", default="1", help="ids separated by commas")
    parser.add_argument("--tolerance", type=float, default=1e-3, help="of the largest |logit|")
    arguments = parser.parse_args()

    mx.set_default_device(mx.cpu)
    config = json.loads((arguments.folder / "config.json").read_text())
    source = load(arguments.source) if arguments.source else None
    report = check_weights(load(arguments.folder), config, source)
    agrees = not report["differing"]
    if config.get("layer_sharing"):
        report["logits"] = "not compared: mlx_lm has no layer sharing"
    else:
        tokens = [int(token) for token in arguments.tokens.split(",")]
        theirs = mlx_logits(arguments.folder, config, tokens)
        report["logits"] = list(theirs.shape)
        if arguments.logits:
            ours = f32(mx.load(str(arguments.logits))["logits"])
            report["logits_apart"] = float(np.abs(ours - theirs).max() / np.abs(theirs).max())
            agrees &= report["logits_apart"] <= arguments.tolerance
    print(json.dumps(report | {"agrees": agrees}, indent=1))
    return 0 if agrees else 1


if __name__ == "__main__":
    sys.exit(main())
