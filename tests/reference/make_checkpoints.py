"""Makes tiny random checkpoints in the form they have on the hub, and the logits that `transformers` computes.

Every folder under `fixtures/checkpoints` is one case. Its weights are drawn in float64, stored in the dtype of the
case, and then *read back from the files* by `transformers` for the reference, so that `expected.safetensors` speaks
of the stored values, in double precision (`transformers` itself drops to float32 inside RMSNorm and for the rotary
angles). The weights are larger than those of a fresh model: attention has to prefer some tokens, and a forgotten
bias or scale has to show far above the tolerance of the tests.
"""

import itertools
import json
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils import logging

from common import FIXTURES, record_versions, write_json

CHECKPOINTS = FIXTURES / "checkpoints"

DTYPE_NAMES = {torch.float32: "float32", torch.float16: "float16", torch.bfloat16: "bfloat16"}

# A config.json as `transformers` 4 wrote them, which is what most of the hub has.
CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "initializer_range": 0.02,
    "max_position_embeddings": 256,
    "mlp_bias": False,
    "model_type": "llama",
    "pretraining_tp": 1,
    "rms_norm_eps": 1e-05,
    "rope_scaling": None,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "transformers_version": "4.46.0",
    "use_cache": True,
}


@dataclass(frozen=True)
class Case:
    """One checkpoint: what it is there for, and how it differs from `CONFIG`."""

    name: str
    why: str
    n_tokens: int
    config: dict[str, Any]
    dtype: torch.dtype = torch.float32
    norm_dtype: torch.dtype | None = None
    omit: tuple[str, ...] = ()
    tokenizer: str | None = None
    chat_template: str = "string"
    prompt: str | None = None
    chat: list[dict[str, str]] = field(default_factory=list)
    shard_size: str | None = None
    seed: int = 0

    @property
    def folder(self) -> Path:
        return CHECKPOINTS / self.name

    @property
    def hub_config(self) -> dict[str, Any]:
        """The config.json to write."""
        config = CONFIG | {"torch_dtype": DTYPE_NAMES[self.dtype]} | self.config
        return dict(sorted((k, v) for k, v in config.items() if k not in self.omit))


def shape(hidden: int, heads: int, kv: int, ffn: int, layers: int, vocab: int, **more: Any) -> dict[str, Any]:
    """The six numbers of a decoder under their long names."""
    return {
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv,
        "intermediate_size": ffn,
        "num_hidden_layers": layers,
        "vocab_size": vocab,
    } | more


MOBILELLM = {
    "architectures": ["MobileLLMForCausalLM"],
    "auto_map": {
        "AutoConfig": "configuration_mobilellm.MobileLLMConfig",
        "AutoModelForCausalLM": "modeling_mobilellm.MobileLLMForCausalLM",
    },
    "model_type": "mobilellm",
    "share_embedding": True,
    "tie_word_embeddings": False,
}

LLAMA3_ROPE = {
    "factor": 8.0,
    "high_freq_factor": 4.0,
    "low_freq_factor": 1.0,
    "original_max_position_embeddings": 64,
    "rope_type": "llama3",
}

CASES = [
    Case(
        "smallest",
        "every size at its least: one layer, one head, one pair to rotate, one token",
        1,
        shape(2, 1, 1, 1, 1, 3, bos_token_id=0, eos_token_id=0),
    ),
    Case(
        "tied-gqa3",
        "the plainest case: tied embeddings, three query heads to a key head",
        70,
        shape(48, 6, 2, 52, 3, 131, tie_word_embeddings=True),
    ),
    Case(
        "untied-mha",
        "untied, one query head to a key head, in bf16, with the ffn of stories260K; an old config without "
        "head_dim, num_key_value_heads and the bias keys",
        37,
        shape(64, 4, 4, 172, 2, 97, rms_norm_eps=1e-6),
        dtype=torch.bfloat16,
        omit=("num_key_value_heads", "attention_bias", "mlp_bias", "rope_scaling"),
    ),
    Case(
        "mqa-odd",
        "all heads on one key head, and odd sizes: rows of 45 and 61 fill neither words, vectors nor tiles",
        53,
        shape(45, 5, 1, 61, 2, 97, head_dim=10),
    ),
    Case(
        "wide-heads",
        "head_dim is not hidden / heads: q_proj is wider than the residual stream",
        7,
        shape(48, 3, 3, 52, 2, 131, head_dim=20),
        dtype=torch.float16,
    ),
    Case(
        "rope-llama3",
        "llama3 rope_scaling with frequencies in all three of its ranges, more tokens than a chunk of prefill, "
        "and norms stored in f32 beside bf16 matrices",
        300,
        shape(48, 3, 1, 52, 2, 97, rope_theta=500000.0, rope_scaling=LLAMA3_ROPE, max_position_embeddings=512),
        dtype=torch.bfloat16,
        norm_dtype=torch.float32,
    ),
    Case(
        "rope-linear",
        "linear rope_scaling under its old key `type`, an epsilon large enough to matter, f16",
        60,
        shape(40, 4, 2, 52, 2, 97, rope_scaling={"type": "linear", "factor": 2.5}, rms_norm_eps=0.05),
        dtype=torch.float16,
    ),
    Case(
        "biases",
        "attention_bias and mlp_bias: a bias on every one of the seven matrices",
        37,
        shape(48, 4, 2, 52, 2, 131, attention_bias=True, mlp_bias=True),
    ),
    Case(
        "sharded",
        "several files and an index, written by transformers 5 itself: `dtype` and `rope_parameters` in config.json",
        45,
        shape(48, 6, 3, 52, 3, 131, rope_theta=20000.0),
        shard_size="50KB",
    ),
    Case(
        "mobilellm",
        "MobileLLM as it lies on the hub: share_embedding without tie_word_embeddings, no lm_head, f16, "
        "only a SentencePiece tokenizer, no chat template",
        23,
        shape(48, 6, 2, 52, 3, 1000, **MOBILELLM, layer_sharing=False),
        dtype=torch.float16,
        tokenizer="sentencepiece",
        prompt="Alice was not a bit hurt",
    ),
    Case(
        "mobilellm-ls",
        "MobileLLM-LS: every block runs twice in a row, each run with its own keys and values; "
        "`logits_shared_kv` is the other reading, where the second run attends to those of the first",
        41,
        shape(48, 6, 2, 52, 3, 131, **MOBILELLM, layer_sharing=True),
    ),
    Case(
        "chat",
        "SmolLM2's form: byte-level BPE, ChatML as a string, several EOS ids, bf16, tied, and a vocabulary padded "
        "beyond the tokenizer's to an odd size",
        64,
        shape(
            48, 6, 2, 52, 3, 509, tie_word_embeddings=True, rope_theta=100000.0, max_position_embeddings=512,
            rope_interleaved=False, pad_token_id=2,
        ),
        dtype=torch.bfloat16,
        tokenizer="byte_level",
        prompt="Alice was beginning to get",
        chat=[{"role": "user", "content": "Who are you?"}],
    ),
    Case(
        "chat-named-templates",
        "chat_template as a list of named templates",
        16,
        shape(40, 4, 1, 52, 1, 500),
        dtype=torch.float16,
        tokenizer="byte_level",
        chat_template="list",
        chat=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello 👋"}],
    ),
    Case(
        "chat-template-file",
        "the template in chat_template.jinja, as transformers 5 writes it; Llama 3's kind of tokenizer.json",
        16,
        shape(40, 4, 1, 52, 1, 605, bos_token_id=600, eos_token_id=[601, 604]),
        dtype=torch.bfloat16,
        tokenizer="byte_level_split",
        chat_template="file",
        chat=[{"role": "user", "content": "Hello"}],
    ),
]  # fmt: skip

LLAMA3_TEMPLATE = (
    "{{- bos_token }}\n"
    "{%- for message in messages %}\n"
    "    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}\n"
    "    {{- message['content'] | trim + '<|eot_id|>' }}\n"
    "{%- endfor %}\n"
    "{%- if add_generation_prompt %}\n"
    "    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}\n"
    "{%- endif %}\n"
)

TOOL_TEMPLATE = (
    "{{ '<|im_start|>system\nTools: ' + (tools | tojson) + '<|im_end|>\n' }}"
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def is_tied(config: dict[str, Any]) -> bool:
    """MobileLLM's `share_embedding` ties whatever `tie_word_embeddings` says."""
    return bool(config["tie_word_embeddings"] or config.get("share_embedding", False))


def llama_config(config: dict[str, Any]) -> LlamaConfig:
    """The Llama that computes what this config.json means."""
    known = {k: v for k, v in config.items() if k not in ("model_type", "architectures", "auto_map", "torch_dtype")}
    return LlamaConfig.from_dict(known | {"tie_word_embeddings": is_tied(config)})


def random_weights(case: Case) -> dict[str, Tensor]:
    """Weights by the names and shapes that `transformers` gives them.

    Matrices keep the variance of what they read, and a little more (queries and keys much more, so that attention is
    sharp); norms lie around one; biases are far from zero.
    """
    generator = torch.Generator().manual_seed(zlib.crc32(case.name.encode()) + case.seed)
    weights = {}
    for name, like in LlamaForCausalLM(llama_config(case.hub_config)).state_dict().items():
        noise = torch.randn(like.shape, generator=generator, dtype=torch.float64)
        if name.endswith("norm.weight"):
            value = 1 + 0.25 * noise
        elif name.endswith(".bias"):
            value = 0.3 * noise
        elif name == "model.embed_tokens.weight":
            value = 0.25 * noise
        else:
            gain = {"q_proj": 1.2, "k_proj": 1.2, "lm_head": 2.5}.get(name.split(".")[-2], 0.9)
            value = gain * noise / like.shape[1] ** 0.5
        is_norm = name.endswith("norm.weight")
        weights[name] = value.to(case.norm_dtype if is_norm and case.norm_dtype else case.dtype).contiguous()
    if is_tied(case.hub_config):
        del weights["lm_head.weight"]
    return weights


def write_weights(case: Case) -> None:
    weights = random_weights(case)
    if case.shard_size is None:
        save_file(weights, case.folder / "model.safetensors", metadata={"format": "pt"})
        write_json(case.folder / "config.json", case.hub_config)
    else:
        model = LlamaForCausalLM(llama_config(case.hub_config)).to(case.dtype)
        model.load_state_dict(weights)
        model.save_pretrained(case.folder, max_shard_size=case.shard_size)


def write_text_files(case: Case) -> None:
    """The tokenizer, where the case has one, and its chat template in the form the case is about."""
    eos = case.hub_config["eos_token_id"]
    if case.name == "chat":
        eos = [2, 0]  # as in SmolLM2, generation_config.json knows of more ends than config.json
    write_json(
        case.folder / "generation_config.json",
        {"_from_model_config": True, "bos_token_id": case.hub_config["bos_token_id"], "eos_token_id": eos},
    )
    if case.tokenizer is None:
        return
    source = FIXTURES / case.tokenizer
    for name in ("tokenizer.model", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        if (source / name).exists():
            shutil.copyfile(source / name, case.folder / name)
    if case.chat_template == "list":
        config = json.loads((source / "tokenizer_config.json").read_text())
        named = {"default": config["chat_template"], "tool_use": TOOL_TEMPLATE}
        config["chat_template"] = [{"name": k, "template": v} for k, v in named.items()]
        write_json(case.folder / "tokenizer_config.json", config)
    elif case.chat_template == "file":
        (case.folder / "chat_template.jinja").write_text(LLAMA3_TEMPLATE)


def reference_model(folder: Path) -> LlamaForCausalLM:
    """What a reader of this folder should compute: stored values in float64, blocks run as often as they should be."""
    config = json.loads((folder / "config.json").read_text())
    model = LlamaForCausalLM.from_pretrained(
        folder, config=llama_config(config), dtype=torch.float64, attn_implementation="eager"
    ).eval()
    if config.get("layer_sharing", False):
        model.model.layers = nn.ModuleList(block for block in model.model.layers for _run in range(2))
        model.config.num_hidden_layers *= 2
    return model


@contextmanager
def second_run_reuses_keys_and_values(model: LlamaForCausalLM) -> Iterator[None]:
    """The other reading of layer sharing: only the queries of the second run are its own."""

    def remember_or_replay() -> Any:
        first: list[Tensor] = []

        def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
            if first:
                return first.pop()
            first.append(output)
            return output

        return hook

    blocks = list(model.model.layers)[::2]
    handles = [
        projection.register_forward_hook(remember_or_replay())
        for block in blocks
        for projection in (block.self_attn.k_proj, block.self_attn.v_proj)
    ]
    yield
    for handle in handles:
        handle.remove()


@torch.no_grad()
def logits_of(model: LlamaForCausalLM, tokens: Tensor) -> Tensor:
    """Logits of every position, without a cache: the runs of a shared block cannot mix their keys."""
    return model(tokens[None], use_cache=False).logits[0]


def random_tokens(case: Case) -> Tensor:
    """Random, with the first and the last id of the vocabulary among them where there is room."""
    vocab = case.hub_config["vocab_size"]
    tokens = torch.randint(vocab, (case.n_tokens,), generator=torch.Generator().manual_seed(case.n_tokens))
    tokens[-1] = vocab - 1
    if case.n_tokens > 2:
        tokens[-2] = 0
    return tokens


def write_expected(case: Case, model: LlamaForCausalLM) -> None:
    tokens = random_tokens(case)
    logits = logits_of(model, tokens)
    expected = {"tokens": tokens.to(torch.int32), "logits": logits.float()}
    if case.hub_config.get("layer_sharing", False):
        with second_run_reuses_keys_and_values(model):
            expected["logits_shared_kv"] = logits_of(model, tokens).float()
    save_file(expected, case.folder / "expected.safetensors", metadata={"why": case.why})
    check_condition(case, model, tokens, logits)


def check_condition(case: Case, model: LlamaForCausalLM, tokens: Tensor, logits: Tensor) -> None:
    """A fixture is useful if rounding its weights to f16 hardly moves the logits, and positions differ."""
    rounded = {k: v.half().double() for k, v in model.state_dict().items()}
    stored = {k: v.clone() for k, v in model.state_dict().items()}
    model.load_state_dict(rounded)
    moved = (logits_of(model, tokens) - logits).abs().max() / logits.abs().max()
    model.load_state_dict(stored)
    winners = len(set(logits.argmax(-1).tolist()))
    print(
        f"{case.name:22} logits std {logits.std():.2f} max {logits.abs().max():5.2f}  {winners} winners in "
        f"{case.n_tokens} positions  f16 weights move them by {moved:.1e} of the maximum"
    )
    assert moved < 5e-3, "too sensitive: choose smaller gains"


class UnfitForGreedy(Exception):
    """These weights would make a flaky test: draw others."""


@torch.no_grad()
def greedy(model: LlamaForCausalLM, ids: list[int], n_ids: int) -> list[int]:
    """Sixteen greedy tokens, without a cache.

    Refuses near ties, which another order of summation could turn over, ids that end the text or have none, and
    models that say one thing again and again, which hide a cache that lost its place.
    """
    generated: list[int] = []
    for _ in range(16):
        logits = logits_of(model, torch.tensor(ids + generated))[-1]
        first, second = logits.topk(2).values
        winner = int(logits.argmax())
        if first - second < 0.003 * logits.abs().max() or winner < 3 or winner >= n_ids:
            raise UnfitForGreedy
        generated.append(winner)
    if len(set(generated)) < 8:
        raise UnfitForGreedy
    return generated


def write_generation(case: Case, model: LlamaForCausalLM) -> None:
    """What the command line should print: greedy text after a prompt, and after a chat."""
    if case.prompt is None and not case.chat:
        return
    expected: dict[str, Any] = {}
    if case.tokenizer == "sentencepiece":
        import sentencepiece

        spm = sentencepiece.SentencePieceProcessor(model_file=str(case.folder / "tokenizer.model"))
        n_ids = spm.vocab_size()
        encode = lambda text: [spm.bos_id(), *spm.encode(text)]
        # One string with what came before, since the first piece of a text alone would lose its space.
        decode = lambda before, ids: spm.decode(before + ids)[len(spm.decode(before)) :]
    else:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(case.folder)
        n_ids = tokenizer.vocab_size
        encode = tokenizer.encode
        decode = lambda _before, ids: tokenizer.decode(ids, skip_special_tokens=True)
    if case.prompt is not None:
        ids = encode(case.prompt)
        generated = greedy(model, ids, n_ids)
        text = decode(ids, generated)
        expected["completion"] = {"prompt": case.prompt, "prompt_ids": ids, "ids": generated, "text": text}
    if case.chat:
        rendered = tokenizer.apply_chat_template(case.chat, tokenize=False, add_generation_prompt=True)
        ids = tokenizer.encode(rendered, add_special_tokens=False)
        generated = greedy(model, ids, n_ids)
        expected["chat"] = {
            "messages": case.chat,
            "rendered": rendered,
            "prompt_ids": ids,
            "ids": generated,
            "text": decode(ids, generated),
        }
    write_json(case.folder / "expected_generation.json", expected)


def make(case: Case) -> None:
    shutil.rmtree(case.folder, ignore_errors=True)
    case.folder.mkdir(parents=True)
    write_weights(case)
    write_text_files(case)
    model = reference_model(case.folder)
    write_generation(case, model)
    write_expected(case, model)


def main() -> None:
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    for case in CASES:
        for seed in itertools.count():
            try:
                make(replace(case, seed=seed))
                break
            except UnfitForGreedy:
                continue
    record_versions(Path(__file__).name, "torch", "transformers", "tokenizers", "sentencepiece", "safetensors")


if __name__ == "__main__":
    main()
