"""Muon for stacks of matrices: momentum, then the nearest orthogonal matrix as the update.

Newton-Schulz runs on the whole stack of thirty layers at once. The update is scaled to the size of a typical AdamW update
(0.2 * sqrt of the longer side), so one learning rate serves both optimisers.
"""

import torch
from torch import Tensor


def orthogonalise(stack: Tensor, steps: int = 5) -> Tensor:
    """Each matrix of [layers, rows, columns] -> about U V^T of its singular value decomposition."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = stack.bfloat16()
    tall = x.size(-2) > x.size(-1)
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    def __init__(self, stacks: list[Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0.1):
        super().__init__(stacks, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for stack in group["params"]:
                velocity = self.state[stack].setdefault("velocity", torch.zeros_like(stack))
                velocity.lerp_(stack.grad, 1 - group["momentum"])
                update = orthogonalise(stack.grad.lerp(velocity, group["momentum"]))
                size = 0.2 * max(stack.shape[-2:]) ** 0.5
                stack.mul_(1 - group["lr"] * group["weight_decay"])
                stack.add_(update, alpha=-group["lr"] * size)
