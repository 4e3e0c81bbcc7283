"""Makes tiny random checkpoints of every family but Llama's, and the logits that `transformers` computes for them.

Every folder under `fixtures/families` is one case. Its weights are stored in float16 and read back from the files for the
reference, which `transformers` computes in float64 (its norms and rotary angles drop to float32). A case has `config.json` in the
older form, which most of the hub has, or as `transformers` 5 writes it; texts are longer than windows, chunks and the rings that
keep them.
"""

import json
import shutil
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.utils import logging

from common import FIXTURES, record_versions, write_json

FAMILIES = FIXTURES / "families"

# Tokens without a text are as good as any to test with.
TOKENIZER = {
    "version": "1.0", "added_tokens": [], "normalizer": None, "pre_tokenizer": None, "post_processor": None, "decoder": None,
    "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []},
}  # fmt: skip

COMMON: dict[str, Any] = {
    "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "max_position_embeddings": 512, "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0, "torch_dtype": "float16", "transformers_version": "4.53.0", "vocab_size": 47,
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One checkpoint: how its configuration differs from `COMMON`, and whether `transformers` 5 writes it anew."""

    name: str
    n_tokens: int
    config: dict[str, Any]
    newer: bool = False

    @property
    def folder(self) -> Path:
        return FAMILIES / self.name

    @property
    def generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(zlib.crc32(self.name.encode()))


def shape(kind: str, heads: int, kv: int, ffn: int, layers: int, **more: Any) -> dict[str, Any]:
    """The sizes of a decoder that is 32 wide, so that groups of quantised weights fit."""
    sizes = {
        "model_type": kind, "hidden_size": 32, "num_attention_heads": heads, "num_key_value_heads": kv,
        "intermediate_size": ffn, "num_hidden_layers": layers,
    }  # fmt: skip
    return sizes | more


def waves(n: int, last: float) -> list[float]:
    """Divisors that grow from 1."""
    return [round(1 + (last - 1) * (i / max(n - 1, 1)) ** 2, 3) for i in range(n)]


LLAMA4 = {
    "head_dim": 8, "intermediate_size_mlp": 64, "moe_layers": [], "num_local_experts": 0, "interleave_moe_layer_step": 0,
    "num_experts_per_tok": 0, "rope_theta": 8e6, "rope_scaling": None,
}  # fmt: skip

DENSE = {"num_local_experts": 0, "num_experts_per_tok": 0, "layer_types": ["attention"] * 2, "position_embedding_type": "rope",
         "mamba_n_heads": 8, "mamba_d_head": 8}  # fmt: skip

CASES = [
    Case("qwen2", 60, shape("qwen2", 4, 1, 64, 2, tie_word_embeddings=True, sliding_window=5, max_window_layers=1,
                            use_sliding_window=False, rope_theta=1e6)),
    Case("qwen2-window", 230, shape("qwen2", 4, 2, 64, 3, sliding_window=9, max_window_layers=1, use_sliding_window=True)),
    Case("qwen3", 50, shape("qwen3", 3, 1, 96, 2, head_dim=20, rope_theta=1e6, tie_word_embeddings=True), newer=True),
    Case("smollm3", 60, shape("smollm3", 4, 2, 64, 5, rope_theta=5e6)),
    Case("smollm3-windows", 210, shape("smollm3", 2, 1, 64, 3, rope_theta=5e6, no_rope_layers=[0, 1, 0], use_sliding_window=True,
                                       sliding_window=7, tie_word_embeddings=False), newer=True),
    Case("granite", 50, shape("granite", 4, 2, 64, 2, embedding_multiplier=3.0, attention_multiplier=0.21,
                              residual_multiplier=0.6, logits_scaling=4.0, tie_word_embeddings=True)),
    Case("granite-dense", 50, shape("granitemoehybrid", 4, 2, 48, 2, **DENSE, shared_intermediate_size=64,
                                    embedding_multiplier=3.0, attention_multiplier=0.3, residual_multiplier=0.5,
                                    logits_scaling=2.0, tie_word_embeddings=True), newer=True),
    Case("olmo2", 50, shape("olmo2", 4, 2, 64, 2, rope_theta=5e5), newer=True),
    Case("olmo2-odd", 50, shape("olmo2", 3, 1, 60, 2, hidden_size=42)),
    Case("gemma3", 220, shape("gemma3_text", 3, 1, 64, 7, hidden_size=36, head_dim=12, sliding_window=11, query_pre_attn_scalar=20,
                              hidden_activation="gelu_pytorch_tanh", rope_local_base_freq=1e4, rope_theta=1e6,
                              rope_scaling={"rope_type": "linear", "factor": 8.0}, sliding_window_pattern=6,
                              final_logit_softcapping=3.0)),
    Case("gemma3-kinds", 60, shape("gemma3_text", 2, 2, 64, 3, head_dim=16, sliding_window=6, query_pre_attn_scalar=16,
                                   layer_types=["sliding_attention", "full_attention", "sliding_attention"],
                                   tie_word_embeddings=False), newer=True),
    Case("mistral", 240, shape("mistral", 3, 1, 64, 2, head_dim=10, sliding_window=13)),
    Case("mistral-full", 40, shape("mistral", 4, 2, 64, 2, sliding_window=None), newer=True),
    Case("phi3", 230, shape("phi3", 4, 4, 64, 2, sliding_window=17, original_max_position_embeddings=512)),
    Case("phi3-part", 50, shape("phi3", 2, 1, 64, 2, partial_rotary_factor=0.75, sliding_window=None), newer=True),
    Case("phi3-long", 80, shape("phi3", 4, 2, 64, 2, partial_rotary_factor=0.75, original_max_position_embeddings=32,
                                rope_scaling={"type": "longrope", "short_factor": waves(3, 1.3), "long_factor": waves(3, 4.0)})),
    Case("phi3-short", 30, shape("phi3", 4, 2, 64, 2, original_max_position_embeddings=32, tie_word_embeddings=True,
                                 rope_scaling={"type": "longrope", "short_factor": waves(4, 1.3), "long_factor": waves(4, 4.0)}),
         newer=True),
    Case("llama4", 50, shape("llama4_text", 4, 2, 48, 2, **LLAMA4, no_rope_layers=[1, 1], tie_word_embeddings=True), newer=True),
    Case("llama4-chunks", 210, shape("llama4_text", 3, 1, 48, 4, **LLAMA4, no_rope_layers=[1, 0, 1, 1], attention_chunk_size=16,
                                     attn_temperature_tuning=True, floor_scale=6, attn_scale=0.3)),
    Case("llama4-plain", 50, shape("llama4_text", 4, 1, 48, 2, **LLAMA4, no_rope_layers=[1, 0], use_qk_norm=False,
                                   attn_temperature_tuning=False, attention_chunk_size=None)),
    Case("lfm2", 220, shape("lfm2", 4, 2, 0, 4, block_ff_dim=90, block_multiple_of=32, block_auto_adjust_ff_dim=True,
                            block_ffn_dim_multiplier=1.0, conv_L_cache=3, norm_eps=1e-5, full_attn_idxs=[2], rope_theta=1e6)),
    Case("lfm2-kinds", 60, shape("lfm2", 2, 1, 64, 3, block_auto_adjust_ff_dim=False, conv_L_cache=4, norm_eps=1e-5,
                                 layer_types=["conv", "full_attention", "conv"]), newer=True),
]  # fmt: skip


def config_json(case: Case) -> dict[str, Any]:
    config = COMMON | case.config
    if config["model_type"] == "lfm2":
        del config["rms_norm_eps"]
        if not config["intermediate_size"]:
            del config["intermediate_size"]
    return dict(sorted(config.items()))


def random_weights(case: Case, like: dict[str, Tensor]) -> dict[str, Tensor]:
    """Norms far from their neutral value, biases large, matrices that keep the variance of what they read."""
    generator, weights = case.generator, {}
    for name, tensor in sorted(like.items()):
        noise = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
        if "norm" in name:
            value = (0 if case.config["model_type"] == "gemma3_text" else 1) + 0.25 * noise
        elif name.endswith(".bias"):
            value = 0.3 * noise
        elif "embed_tokens" in name:
            value = 0.25 * noise
        else:
            gain = 1.4 if any(part in name for part in ("q_proj", "k_proj", "qkv_proj")) else 1.0
            value = gain * noise / tensor.shape[-1] ** 0.5
        weights[name] = value.half().contiguous()
    return weights


def reference(case: Case) -> PreTrainedModel:
    """What a reader of the folder should compute."""
    logging.disable_progress_bar()
    return AutoModelForCausalLM.from_pretrained(case.folder, dtype=torch.float64, attn_implementation="eager").eval()


def logits(model: PreTrainedModel, tokens: list[int]) -> Tensor:
    with torch.no_grad():
        return model(input_ids=torch.tensor([tokens]), use_cache=False).logits[0].double()


def greedy(model: PreTrainedModel, prompt: list[int], steps: int) -> list[int]:
    """The likeliest tokens, up to a step that is too close to call."""
    tokens = list(prompt)
    while len(tokens) < len(prompt) + steps:
        row = logits(model, tokens)[-1]
        first, second = row.topk(2).values.tolist()
        if first - second < 1e-3 * row.abs().max().item():
            break
        tokens.append(int(row.argmax()))
    return tokens[len(prompt) :]


def make(case: Case) -> None:
    shutil.rmtree(case.folder, ignore_errors=True)
    write_json(case.folder / "config.json", config_json(case))
    config = AutoConfig.from_pretrained(case.folder)
    if case.newer:
        config.dtype = "float16"
        config.save_pretrained(case.folder)
    model = AutoModelForCausalLM.from_config(config)
    weights = random_weights(case, model.state_dict())
    if config.tie_word_embeddings:
        del weights["lm_head.weight"]
    save_file(weights, case.folder / "model.safetensors", metadata={"format": "pt"})
    (case.folder / "tokenizer.json").write_text(json.dumps(TOKENIZER))
    model = reference(case)
    tokens = torch.randint(3, config.vocab_size, (case.n_tokens,), generator=case.generator).tolist()
    want = logits(model, tokens)
    save_file(
        {"tokens": torch.tensor(tokens), "logits": want.float().contiguous()}, case.folder / "expected.safetensors"
    )
    prompt = tokens[: min(40, len(tokens) - 5)]
    write_json(case.folder / "greedy.json", {"ids": prompt, "greedy": greedy(model, prompt, 24)})
    print(case.name, f"{want.abs().max():.2f}", flush=True)


def main() -> None:
    logging.set_verbosity_error()
    torch.set_num_threads(1)
    for case in CASES:
        make(case)
    record_versions(Path(__file__).name, "torch", "transformers", "safetensors")


if __name__ == "__main__":
    main()
