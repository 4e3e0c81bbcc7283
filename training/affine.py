"""Affine group quantisation by MLX's rule, and the straight-through version that finetuning trains against.

Along the input dimension each group of 64 weights shares a scale and a bias: w = scale * q + bias. MLX puts the edge with
the larger magnitude on the grid exactly and moves the scale so that zero is on it too.
"""

import torch
from torch import Tensor

GROUP = 64


def grid(groups: Tensor, levels: Tensor | int) -> tuple[Tensor, Tensor]:
    """Scale and bias of each group (the last dimension); `levels` is 2**bits - 1 and broadcasts over the groups."""
    low, high = groups.amin(-1, keepdim=True), groups.amax(-1, keepdim=True)
    low_is_edge = low.abs() > high.abs()
    scale = ((high - low) / levels).clamp(min=1e-7)
    scale = torch.where(low_is_edge, scale, -scale)
    edge = torch.where(low_is_edge, low, high)
    steps = (edge / scale).round()
    scale = torch.where(steps != 0, edge / steps, scale)
    return scale, torch.where(steps != 0, edge, 0.0)


def quantise(weight: Tensor, bits: int) -> tuple[Tensor, Tensor, Tensor]:
    """[rows, columns] -> integers of the same shape, scales and biases [rows, columns / GROUP]."""
    groups = weight.float().unflatten(-1, (-1, GROUP))
    scale, bias = grid(groups, 2**bits - 1)
    q = ((groups - bias) / scale).round().clamp(0, 2**bits - 1)
    return q.flatten(-2).to(torch.int32), scale.squeeze(-1), bias.squeeze(-1)


def fake_quantise(weight: Tensor, bits: Tensor | int, storage: torch.dtype = torch.float16) -> Tensor:
    """The weight as it reads back after quantisation, with scales and biases rounded as stored.

    The gradient passes straight through. `bits` may differ from layer to layer: [layers, 1, 1, 1].
    """
    with torch.no_grad():
        groups = weight.float().unflatten(-1, (-1, GROUP))
        levels = 2**bits - 1
        scale, bias = grid(groups, levels)
        q = ((groups - bias) / scale).round()
        q = q.clamp(min=torch.zeros_like(scale), max=levels * torch.ones_like(scale))
        read = q * scale.to(storage).float() + bias.to(storage).float()
        difference = read.flatten(-2) - weight
    return weight + difference


def pack(q: Tensor, bits: int) -> Tensor:
    """Integers -> u32 words, the first value in the lowest bits (kept in int32, torch's only full 32-bit type)."""
    per_word = 32 // bits
    words = q.to(torch.int64).unflatten(-1, (-1, per_word)) << (torch.arange(per_word) * bits)
    return words.sum(-1).to(torch.uint32)
