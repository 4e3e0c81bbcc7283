"""Makes tiny GGUF files with random bits in every field of every block, and what they must compute.

`fixtures/gguf/blocks.safetensors` has for each type a few rows of blocks as they lie in a file (`TYPE.bytes`) and their
weights as the package `gguf` unpacks them (`TYPE.values`). Every `fixtures/gguf/NAME.gguf` is a model; beside it lies
`NAME.expected.safetensors` with `tokens` and the `logits` of all positions, computed here in float64 from the unpacked
weights by a decoder in numpy that knows nothing of any other code.
"""

from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf.quants import dequantize, quantize
from numpy.typing import NDArray
from safetensors.numpy import save_file

from common import FIXTURES, record_versions

OUT = FIXTURES / "gguf"
Array = NDArray[np.float64]

# Where a block has its scale in f16, and its minimum, which is so many times larger.
FIELDS = {
    "Q4_0": (0, None, 0), "Q4_1": (0, 2, -7.5), "Q5_0": (0, None, 0), "Q5_1": (0, 2, -15.5), "Q8_0": (0, None, 0),
    "Q2_K": (80, 82, 1.5), "Q3_K": (108, None, 0), "Q4_K": (0, 2, 7.5), "Q5_K": (0, 2, 15.5), "Q6_K": (208, None, 0),
    "IQ4_NL": (0, None, 0), "IQ4_XS": (0, None, 0),
}

HIDDEN, HEADS, KV_HEADS, HEAD_DIM, FFN, VOCAB, THETA, EPS = 256, 4, 2, 16, 64, 24, 10000.0, 1e-5


def blocks(kind: str, rows: int, cols: int, std: float, r: np.random.Generator) -> NDArray[np.uint8]:
    """Random bits, with scales that give the weights about the wanted spread."""
    width, size = gguf.GGML_QUANT_SIZES[Type[kind]]
    at, at_min, ratio = FIELDS[kind]
    raw = r.integers(0, 256, (rows * cols // width, size), dtype=np.uint8)
    # Of both signs where nothing is subtracted.
    spread = r.uniform(0.5, 1.5, (len(raw), 1)) * (1.0 if at_min is not None else r.choice([-1.0, 1.0], (len(raw), 1)))

    def fill(unit: float) -> NDArray[np.float32]:
        raw[:, at : at + 2] = (unit * spread).astype(np.float16).view(np.uint8)
        if at_min is not None:
            raw[:, at_min : at_min + 2] = (ratio * unit * spread).astype(np.float16).view(np.uint8)
        return dequantize(raw.reshape(rows, -1), Type[kind])

    fill(std / float(fill(2.0**-6).std()) * 2.0**-6)
    return raw.reshape(rows, -1)


def permuted(w: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """From rows whose pairs are halves of a head to rows whose pairs are neighbours."""
    return w.reshape(heads, 2, len(w) // heads // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def norm(x: Array, weight: Array) -> Array:
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + EPS) * weight


def rotate(x: Array, neighbours: bool) -> Array:
    """[tokens, heads, HEAD_DIM], with pairs as they are stored."""
    angles = np.outer(np.arange(len(x)), THETA ** (-np.arange(0, HEAD_DIM, 2) / HEAD_DIM))[:, None]
    a, b = (x[..., 0::2], x[..., 1::2]) if neighbours else np.split(x, 2, -1)
    turned = a * np.cos(angles) - b * np.sin(angles), a * np.sin(angles) + b * np.cos(angles)
    return np.stack(turned, -1).reshape(x.shape) if neighbours else np.concatenate(turned, -1)


def logits(w: dict[str, Array], tokens: NDArray[np.int32], layers: int, neighbours: bool) -> Array:
    """The decoder, on weights as they are stored."""
    x = w["token_embd.weight"][tokens]
    n = len(tokens)
    for layer in range(layers):
        def p(name: str, x: Array, layer: int = layer) -> Array:
            path = f"blk.{layer}.{name}"
            return x @ w[path + ".weight"].T + w.get(path + ".bias", 0.0)

        h = norm(x, w[f"blk.{layer}.attn_norm.weight"])
        q = rotate(p("attn_q", h).reshape(n, HEADS, HEAD_DIM), neighbours)
        k = rotate(p("attn_k", h).reshape(n, KV_HEADS, HEAD_DIM), neighbours).repeat(HEADS // KV_HEADS, 1)
        v = p("attn_v", h).reshape(n, KV_HEADS, HEAD_DIM).repeat(HEADS // KV_HEADS, 1)
        scores = np.einsum("ihd,jhd->hij", q, k) / np.sqrt(HEAD_DIM)
        scores = np.where(np.tri(n, dtype=bool), scores, -np.inf)
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        context = np.einsum("hij,jhd->ihd", scores / scores.sum(-1, keepdims=True), v)
        x = x + p("attn_output", context.reshape(n, -1))
        h = norm(x, w[f"blk.{layer}.ffn_norm.weight"])
        gate = p("ffn_gate", h)
        x = x + p("ffn_down", gate / (1 + np.exp(-gate)) * p("ffn_up", h))
    return norm(x, w["output_norm.weight"]) @ w.get("output.weight", w["token_embd.weight"]).T


def model(name: str, architecture: str, types: list[dict[str, str]], tied: bool, parts: int, seed: int) -> None:
    """Writes a model; `types` has a type for the matrices of each layer, the last one also for those outside."""
    r = np.random.default_rng(seed)
    g = gguf.GGUFWriter(OUT / f"{name}.gguf", architecture, split_max_tensors=10 if parts > 1 else 0)
    g.add_name(name)
    g.add_block_count(len(types))
    g.add_context_length(128)
    g.add_embedding_length(HIDDEN)
    g.add_feed_forward_length(FFN)
    g.add_head_count(HEADS)
    g.add_head_count_kv(KV_HEADS)
    g.add_key_length(HEAD_DIM)
    g.add_value_length(HEAD_DIM)
    g.add_layer_norm_rms_eps(EPS)
    g.add_rope_freq_base(THETA)
    g.add_rope_dimension_count(HEAD_DIM)
    g.add_vocab_size(VOCAB)
    weights: dict[str, Array] = {}

    def matrix(path: str, rows: int, cols: int, kind: str) -> None:
        std = 1.6 / np.sqrt(cols)
        if kind in FIELDS:
            raw = blocks(kind, rows, cols, std, r)
        else:
            raw = quantize((r.standard_normal((rows, cols)) * std).astype(np.float32), Type[kind])
        weights[path] = dequantize(raw, Type[kind]).reshape(rows, cols).astype(np.float64)
        g.add_tensor(path, raw, raw_dtype=None if kind in ("F32", "F16") else Type[kind])

    def vector(path: str, values: NDArray[np.float64]) -> None:
        weights[path] = values.astype(np.float32).astype(np.float64)
        g.add_tensor(path, values.astype(np.float32))

    last = types[-1]
    matrix("token_embd.weight", VOCAB, HIDDEN, last["token_embd"])
    if not tied:
        matrix("output.weight", VOCAB, HIDDEN, last["output"])
    vector("output_norm.weight", r.uniform(0.5, 1.5, HIDDEN))
    for layer, kinds in enumerate(types):
        block = f"blk.{layer}."
        vector(block + "attn_norm.weight", r.uniform(0.5, 1.5, HIDDEN))
        vector(block + "ffn_norm.weight", r.uniform(0.5, 1.5, HIDDEN))
        for part, rows, cols in (
            ("attn_q", HEADS * HEAD_DIM, HIDDEN), ("attn_k", KV_HEADS * HEAD_DIM, HIDDEN),
            ("attn_v", KV_HEADS * HEAD_DIM, HIDDEN), ("attn_output", HIDDEN, HEADS * HEAD_DIM),
            ("ffn_gate", FFN, HIDDEN), ("ffn_up", FFN, HIDDEN), ("ffn_down", HIDDEN, FFN),
        ):
            matrix(f"{block}{part}.weight", rows, cols, kinds[part])
            if architecture == "qwen2" and part in ("attn_q", "attn_k", "attn_v"):
                vector(f"{block}{part}.bias", r.standard_normal(rows))
    g.add_token_list([f"t{i}" for i in range(VOCAB)])
    g.write_header_to_file()
    g.write_kv_data_to_file()
    g.write_tensors_to_file()
    g.close()
    tokens = r.integers(0, VOCAB, 20).astype(np.int32)
    # llama.cpp turns neighbours in files of `llama`, whose converter permutes rows for that, and halves in those of `qwen2`.
    expected = logits(weights, tokens, len(types), architecture == "llama")
    save_file({"tokens": tokens, "logits": expected.astype(np.float32)}, OUT / f"{name}.expected.safetensors")


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    for old in OUT.iterdir():
        old.unlink()
    r = np.random.default_rng(5)
    tensors: dict[str, NDArray[np.generic]] = {}
    for kind in FIELDS:
        raw = blocks(kind, 2, 256, 0.05, r)
        tensors[f"{kind}.bytes"] = raw
        tensors[f"{kind}.values"] = dequantize(raw, Type[kind]).reshape(2, 256)
    save_file(tensors, OUT / "blocks.safetensors")
    # Parts of one matrix in memory have different types here: q, k and v; gate and up.
    mixed = [
        {"attn_q": "Q2_K", "attn_k": "Q3_K", "attn_v": "Q6_K", "attn_output": "Q5_0", "ffn_gate": "Q4_K", "ffn_up": "Q5_K", "ffn_down": "IQ4_NL"},
        {"attn_q": "IQ4_XS", "attn_k": "Q4_1", "attn_v": "F16", "attn_output": "Q5_1", "ffn_gate": "Q3_K", "ffn_up": "Q2_K", "ffn_down": "Q4_0",
         "token_embd": "Q6_K", "output": "Q4_K"},
    ]
    model("llama-mixed", "llama", mixed, tied=False, parts=1, seed=1)
    other = [
        {"attn_q": "Q4_K", "attn_k": "Q4_K", "attn_v": "Q6_K", "attn_output": "Q8_0", "ffn_gate": "Q4_0", "ffn_up": "Q4_1", "ffn_down": "BF16",
         "token_embd": "Q3_K"},
    ]
    model("qwen2-mixed", "qwen2", other, tied=True, parts=1, seed=2)
    split = [{"*": "Q8_0"} | dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down", "token_embd", "output"), "Q4_0")]
    model("llama-split", "llama", split, tied=False, parts=2, seed=3)
    record_versions(Path(__file__).name, "gguf", "numpy", "safetensors")


if __name__ == "__main__":
    main()
