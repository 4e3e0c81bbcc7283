"""Pretrains or finetunes the network, by the clock.

The learning rate follows the time spent, not a count of steps: warm up, stay, decay linearly. A run may stop
itself after some seconds and be continued by the same command.

    python train.py pretrain --seconds 700 --stop-after 440    (twice)
    python train.py finetune --seconds 195
"""

import argparse
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from encode import NO_LOSS
from mixture import MIXTURES, Mixture, held_out
from model import MATRICES, Network
from muon import Muon
from shape import Paths, Shape, choose

Z_LOSS = 1e-4
WARM_UP_STEPS = 100
DECAY_SHARE = 0.4
"""The last part of pretraining, in which the learning rate falls and the mixture changes."""
RATE, LAST_RATE = 3e-3, 5e-4
"""Pretraining's learning rate, and the one at which finetuning takes over; finetuning falls to zero."""
LOG_EVERY = 10
SAVE_EVERY_SECONDS = 400


@dataclass
class Progress:
    """What a continued run needs to know of the runs before it."""

    stage: str
    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0
    drawn: dict[str, int] = field(default_factory=dict)


def plan(stage: str, done: float) -> tuple[float, str]:
    """The learning rate and the phase of the mixture when `done` of the stage's time has passed."""
    if stage == "finetune":
        return LAST_RATE * (1 - done), "finetune"
    if done < 1 - DECAY_SHARE:
        return RATE, "stable"
    return LAST_RATE + (RATE - LAST_RATE) * (1 - done) / DECAY_SHARE, "decay"


def optimisers(network: Network, kind: str) -> list[torch.optim.Optimizer]:
    """AdamW for the embedding and (without decay) the norms; Muon for the stacked matrices, or AdamW for them too."""
    norms = [network.norm, network.layers["attention_norm"], network.layers["mlp_norm"]]
    matrices = [network.layers[name] for name in MATRICES]
    decayed = [network.embedding] + (matrices if kind == "adamw" else [])
    groups = [dict(params=decayed, weight_decay=0.1), dict(params=norms, weight_decay=0.0)]
    adamw = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.95), fused=network.embedding.is_cuda)
    return [adamw] if kind == "adamw" else [Muon(matrices, lr=RATE), adamw]


def split(rows: Tensor, learn_all: bool) -> tuple[Tensor, Tensor]:
    """Rows of flagged ids -> inputs, and targets with -1 where nothing is learned."""
    rows = rows.long()
    ids = rows & (NO_LOSS - 1)
    targets = ids[:, 1:]
    if not learn_all:
        targets = torch.where(rows[:, 1:] >= NO_LOSS, -1, targets)
    return ids[:, :-1].contiguous(), targets.contiguous()


def held_out_losses(network: Network, folder: Path, rows: int, length: int, device: str) -> dict[str, float]:
    """Mean loss of each group over the ids that finetuning learns. Nothing is compiled anew: the gradient is only not asked for."""
    losses = {}
    for group, ids in held_out(folder, length + 1, rows=64 if device == "cuda" else 8):
        total = count = 0.0
        for start in range(0, len(ids), rows):
            part = ids[start : start + rows]
            full = torch.zeros(rows, length + 1, dtype=torch.int32) | NO_LOSS
            full[: len(part)] = torch.from_numpy(part.astype("int32"))
            inputs, targets = split(full.to(device), learn_all=False)
            total += network.loss(inputs, targets, torch.bfloat16)[0].item()
            count += (targets >= 0).sum().item()
        losses[group] = round(total / max(count, 1), 4)
    return losses


def save(folder: Path, network: Network, opts: list[Any], progress: Progress) -> None:
    state = {"network": network.state_dict(), "optimisers": [o.state_dict() for o in opts], "progress": progress}
    torch.save(state, folder / f"{progress.stage}.new")
    (folder / f"{progress.stage}.new").rename(folder / f"{progress.stage}.pt")
    save_file(network.state_dict_huggingface(), folder / f"{progress.stage}.safetensors")


def restore(folder: Path, stage: str, network: Network, opts: list[Any]) -> Progress:
    """Continues the stage, or starts finetuning from what pretraining left, or starts afresh."""
    for name in [stage] + (["pretrain"] if stage == "finetune" else []):
        if (folder / f"{name}.pt").exists():
            state = torch.load(folder / f"{name}.pt", map_location="cpu", weights_only=False)
            network.load_state_dict(state["network"])
            if name == stage:
                for opt, saved in zip(opts, state["optimisers"]):
                    opt.load_state_dict(saved)
                return state["progress"]
            break
    return Progress(stage)


def train(options: argparse.Namespace, shape: Shape, paths: Paths) -> None:
    begun = time.monotonic()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    torch.set_float32_matmul_precision("high")
    data, checkpoints = options.data or paths.ids, options.checkpoints or paths.checkpoints
    network = Network(shape).to(device)
    network.compiled = not options.eager
    network.quantised = options.stage == "finetune"
    opts = optimisers(network, options.optimiser)
    checkpoints.mkdir(parents=True, exist_ok=True)
    progress = restore(checkpoints, options.stage, network, opts)
    stop = json.loads((data / "stop.json").read_text())
    mixture = Mixture(data, stop, progress.steps, progress.drawn)
    mixtures, length, rows, parts = MIXTURES[options.shape], shape.context, options.rows, options.parts
    log = open(checkpoints / f"{options.stage}.log.jsonl", "a")
    print(f"{sum(p.numel() for p in network.parameters()):,} parameters on {device}; {progress}", flush=True)

    def note(**entry: Any) -> None:
        log.write(json.dumps(entry) + "\n")
        log.flush()
        print(entry, flush=True)

    saved = begun
    here, running_loss, running_since = 0, torch.zeros((), device=device), time.monotonic()
    while progress.seconds < options.seconds and time.monotonic() - begun < options.stop_after:
        step_begun = time.monotonic()
        rate, phase = plan(options.stage, progress.seconds / options.seconds)
        rate *= min(1.0, (progress.steps + 1) / WARM_UP_STEPS)
        batch = torch.from_numpy(mixture.batch(mixtures[phase], rows * parts, length + 1).astype("int32"))
        inputs, targets = split(batch.to(device, non_blocking=True), learn_all=options.stage == "pretrain")
        count = (targets >= 0).sum()
        for ids, wanted in zip(inputs.split(rows), targets.split(rows)):
            entropy, partition = network.loss(ids, wanted, torch.bfloat16)
            ((entropy + Z_LOSS * partition) / count).backward()
            running_loss += entropy.detach() / count  # read only when it is logged, so that the next batch is made meanwhile
        torch.nn.utils.clip_grad_norm_([network.embedding, network.norm], 1.0)
        for opt in opts:
            for group in opt.param_groups:
                group["lr"] = rate
            opt.step()
            opt.zero_grad(set_to_none=True)
        here += 1
        progress.steps += 1
        progress.tokens += inputs.numel()
        if here > 2:  # the first steps compile: they do not count as training time
            progress.seconds += time.monotonic() - step_begun
        if progress.steps % LOG_EVERY == 0:
            speed = LOG_EVERY * inputs.numel() / (time.monotonic() - running_since)
            note(step=progress.steps, tokens=progress.tokens, seconds=round(progress.seconds, 1),
                 loss=round(running_loss.item() / min(here, LOG_EVERY), 4), rate=round(rate, 7), speed=round(speed))  # fmt: skip
            running_loss, running_since = torch.zeros_like(running_loss), time.monotonic()
        if time.monotonic() - saved > SAVE_EVERY_SECONDS:
            save(checkpoints, network, opts, progress)
            saved = time.monotonic()
    save(checkpoints, network, opts, progress)
    losses = held_out_losses(network, data, rows, length, device)
    note(step=progress.steps, tokens=progress.tokens, seconds=round(progress.seconds, 1), held_out=losses, drawn=progress.drawn)
    if device == "cuda":
        print(f"peak memory {torch.cuda.max_memory_allocated() / 1e9:.1f} GB; process {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=["pretrain", "finetune"])
    parser.add_argument("--seconds", type=float, required=True, help="of training in all, over every run of the stage")
    parser.add_argument("--stop-after", type=float, default=float("inf"), help="seconds after which this run saves and ends")
    parser.add_argument("--rows", type=int, default=32, help="rows in one pass through the network")
    parser.add_argument("--parts", type=int, default=2, help="passes whose gradients make one step")
    parser.add_argument("--optimiser", choices=["muon", "adamw"], default="muon", help="for the matrices")
    parser.add_argument("--eager", action="store_true", help="do not compile")
    parser.add_argument("--data", type=Path, help="the folder of ids, if they lie elsewhere")
    parser.add_argument("--checkpoints", type=Path)
    train(*choose(parser))
