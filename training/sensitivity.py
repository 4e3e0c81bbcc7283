"""What 4 bits cost in each part that ships with 8: perplexity of plain texts with that part rounded once more.

    python sensitivity.py --model ../models/mobilellm-47m-chat --text FILE [FILE ...]

It needs only the folder as it ships: against 4 bits, 8 are as good as the weights themselves.
"""

import argparse
import math
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor

from affine import GROUP, fake_quantise
from model import Network
from shape import Shape

WINDOW = 1024
WINDOWS = 8


def unpack(tensors: dict[str, Tensor], module: str) -> Tensor:
    """A weight of the MLX layout, or one that is not quantised, as floats."""
    weight = tensors[f"{module}.weight"]
    if f"{module}.scales" not in tensors:
        return weight.float()
    scales, biases = (tensors[f"{module}.{part}"].float().unsqueeze(-1) for part in ("scales", "biases"))
    bits = 32 * weight.shape[1] // (scales.shape[1] * GROUP)
    words = weight.to(torch.int64) & 0xFFFFFFFF
    q = (words.unsqueeze(-1) >> (torch.arange(32 // bits) * bits)) & (2**bits - 1)
    return (q.flatten(-2).float().unflatten(-1, (-1, GROUP)) * scales + biases).flatten(-2)


@torch.no_grad()
def perplexity(network: Network, ids: Tensor) -> float:
    """Of windows of ids, [windows, WINDOW], without the first of each."""
    log_likelihoods = network(ids).float().log_softmax(-1)[:, :-1].gather(-1, ids[:, 1:, None])
    return math.exp(-log_likelihoods.mean().item())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--text", type=Path, nargs="+", required=True)
    options = parser.parse_args()

    tensors: dict[str, Tensor] = {}
    for path in options.model.glob("*.safetensors"):
        tensors |= load_file(path)
    modules = {name.rsplit(".", 1)[0] for name in tensors}
    weights = {f"{module}.weight": unpack(tensors, module) for module in modules}
    tokenizer = Tokenizer.from_file(str(options.model / "tokenizer.json"))
    network = Network(Shape()).eval()
    last = f"layers.{network.shape.layers - 1}."
    parts = {"nothing": (), "embedding": ("embed",), "first layer": ("layers.0.",), "last layer": (last,)}
    parts["all three"] = ("embed", "layers.0.", last)
    for path in options.text:
        ids = torch.tensor(tokenizer.encode(path.read_text()).ids[: WINDOW * WINDOWS]).view(-1, WINDOW)
        shipped = math.nan
        for part, names in parts.items():
            rounded = {
                name: fake_quantise(weight, 4) if weight.dim() == 2 and any(n in name for n in names) else weight
                for name, weight in weights.items()
            }
            network.load_huggingface(rounded)
            value = perplexity(network, ids)
            shipped = value if part == "nothing" else shipped
            print(f"{path.name}: {part} in 4 bits: {value:.2f} ({100 * (value / shipped - 1):+.2f}%)")


if __name__ == "__main__":
    main()
