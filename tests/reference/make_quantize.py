"""Writes what Apple's `mlx` makes of matrices when it quantises them, and proves the rule that it follows.

`fixtures/quantize.safetensors` holds, for every dtype D in f32, f16, bf16, a matrix `D.w` [20, 256], and for B = 4 and
8 bits and groups of G = 32, 64 and 128 columns `D.qB.gG.weight` (u32, packed), `.scales`, `.biases` and `.dequantized`
(all of dtype D). The rows of `D.w` are the kinds of group that a quantiser meets: see `rows`.

Below is the rule again in numpy. The script fails unless it gives what `mlx` gave, bit for bit.
"""

from pathlib import Path

import mlx.core as mx
import numpy as np

from common import FIXTURES, record_versions

COLS = 256
F32 = np.float32
DTYPES = {"f32": mx.float32, "f16": mx.float16, "bf16": mx.bfloat16}

Array = np.ndarray


def rows() -> dict[str, Array]:
    """One row of 256 columns for each kind of group."""
    random = np.random.default_rng(20240222)
    normal = lambda scale=1.0: random.normal(size=COLS) * scale
    outlier, small_outlier, both_ends, alternating = normal(0.01), normal(1e-3), normal(0.1), normal(0)
    outlier[[5, 40, 100, 200]] = 7.0
    small_outlier[[0, 127, 255]] = -0.5
    both_ends[::32], both_ends[1::32] = 1.5, -1.5
    alternating[::2], alternating[1::2] = 0.75, -0.25
    return {
        "normal": normal(),
        "as large as weights are": normal(0.02),
        "uniform": random.uniform(-1, 1, COLS),
        "all zero": np.zeros(COLS),
        "constant": np.full(COLS, 0.3),
        "constant, negative": np.full(COLS, -1.7),
        "positive only": 1 + np.abs(normal(0.1)),
        "negative only": -1 - np.abs(normal(0.1)),
        "zero and positive": np.maximum(normal(), 0),
        "zero and negative": np.minimum(normal(), 0),
        "one outlier": outlier,
        "one negative outlier": small_outlier,
        "as far below zero as above": both_ends,
        "two values": alternating,
        "integers": np.round(normal(5)),
        "a ramp from 0": np.arange(COLS) / 64,
        "a ramp through 0": (np.arange(COLS) % 32 - 16) / 16,
        "below the least scale, 1e-7": normal(1e-8),
        "about the least scale": normal(1e-6),
        "large": normal(1e4),
    }


def rounded(values: Array, dtype: str) -> Array:
    """float32 values rounded to `dtype`, ties to even, still in float32."""
    if dtype == "f32":
        return values.astype(F32)
    if dtype == "f16":
        return values.astype(np.float16).astype(F32)
    bits = values.astype(F32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).view(F32)


def quantize(w: Array, bits: int, group_size: int, dtype: str) -> tuple[Array, Array, Array]:
    """The rule of `mlx`, everything in float32 until scales and biases are stored."""
    groups = w.reshape(len(w), -1, group_size)
    low, high = groups.min(-1), groups.max(-1)
    top = F32(2**bits - 1)
    # The end that is farther from zero, on a tie the upper, is represented exactly: it becomes the bias.
    is_low = np.abs(low) > np.abs(high)
    scale = np.maximum((high - low) / top, F32(1e-7))
    scale = np.where(is_low, scale, -scale)
    edge = np.where(is_low, low, high)
    # The scale is then stretched so that zero falls on a whole number of steps from that end.
    steps = np.rint(edge / scale)
    bias = np.where(steps == 0, F32(0), edge)
    scale = np.divide(edge, steps, out=scale, where=steps != 0)
    # Quantised with the scale and the bias before they are rounded to the dtype that they are stored in.
    q = np.clip(np.rint((groups - bias[..., None]) / scale[..., None]), 0, top).astype(np.uint32)
    return pack(q.reshape(w.shape), bits), rounded(scale, dtype), rounded(bias, dtype)


def pack(q: Array, bits: int) -> Array:
    """The first column lies in the lowest bits."""
    per_word = 32 // bits
    shifts = np.arange(per_word, dtype=np.uint32) * bits
    return np.bitwise_or.reduce(q.reshape(len(q), -1, per_word) << shifts, axis=-1)


def dequantize(packed: Array, scales: Array, biases: Array, bits: int, group_size: int, dtype: str) -> Array:
    """`scale * q + bias`, the product and the sum each rounded to the dtype: not a fused multiply-add."""
    shifts = np.arange(32 // bits, dtype=np.uint32) * bits
    q = (packed[..., None] >> shifts & (2**bits - 1)).reshape(len(packed), -1, group_size).astype(F32)
    product = rounded(q * scales[..., None], dtype)
    return rounded(product + biases[..., None], dtype).reshape(len(packed), -1)


def same_bits(ours: Array, theirs: mx.array) -> bool:
    """Equal to the last bit, the sign of zero too."""
    theirs_f32 = np.array(theirs if theirs.dtype == mx.uint32 else theirs.astype(mx.float32))
    return bool(np.array_equal(ours.view(np.uint32), theirs_f32.view(np.uint32)))


def main() -> None:
    mx.set_default_device(mx.cpu)
    matrix = np.stack(list(rows().values())).astype(F32)
    tensors: dict[str, mx.array] = {}
    for dtype, mx_dtype in DTYPES.items():
        w = mx.array(matrix).astype(mx_dtype)
        tensors[f"{dtype}.w"] = w
        stored = np.array(w.astype(mx.float32))
        for bits in (4, 8):
            for group_size in (32, 64, 128):
                packed, scales, biases = mx.quantize(w, group_size=group_size, bits=bits)
                dequantized = mx.dequantize(packed, scales, biases, group_size=group_size, bits=bits)
                case = f"{dtype}.q{bits}.g{group_size}"
                tensors |= {
                    f"{case}.weight": packed,
                    f"{case}.scales": scales,
                    f"{case}.biases": biases,
                    f"{case}.dequantized": dequantized,
                }
                ours = quantize(stored, bits, group_size, dtype)
                ours_back = dequantize(*ours, bits, group_size, dtype)
                for mine, theirs in zip((*ours, ours_back), (packed, scales, biases, dequantized), strict=True):
                    assert same_bits(mine, theirs), f"{case}: the rule is another"
    mx.save_safetensors(str(FIXTURES / "quantize.safetensors"), tensors, metadata={"rows": "; ".join(rows())})
    record_versions(Path(__file__).name, "mlx", "numpy")
    print(f"{len(tensors)} tensors; the rule in numpy agrees with mlx in every bit")


if __name__ == "__main__":
    main()
