"""The shapes of the network, MobileLLM's in small, and where the files of each lie."""

from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Shape:
    """Depth before width; three queries a key-value head; one matrix for input and output embedding.

    With `layer_sharing` each block runs twice in a row with the same weights (the paper's LS variant). Hugging Face's Llama has
    no such switch, so a shared checkpoint says `"layer_sharing": true` in config.json for readers that know it.

    The shipped weights have `edge_bits` in the embedding and in the first and last layer, and `inner_bits` between.
    """

    vocab: int = 12_288
    layers: int = 30
    hidden: int = 384
    heads: int = 6
    kv_heads: int = 2
    head_dim: int = 64
    ffn: int = 896
    context: int = 2048
    rope_theta: float = 10_000.0
    norm_eps: float = 1e-5
    edge_bits: int = 8
    inner_bits: int = 4
    layer_sharing: bool = False

    @property
    def runs(self) -> int:
        """How often each block runs."""
        return 2 if self.layer_sharing else 1

    def huggingface(self, eos: list[int], pad: int) -> dict[str, Any]:
        """config.json for LlamaForCausalLM."""
        config = {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "vocab_size": self.vocab,
            "hidden_size": self.hidden,
            "intermediate_size": self.ffn,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_dim,
            "hidden_act": "silu",
            "max_position_embeddings": self.context,
            "rope_theta": self.rope_theta,
            "rms_norm_eps": self.norm_eps,
            "tie_word_embeddings": True,
            "attention_bias": False,
            "mlp_bias": False,
            "attention_dropout": 0.0,
            "initializer_range": 0.02,
            "bos_token_id": None,
            "eos_token_id": eos,
            "pad_token_id": pad,
            "torch_dtype": "bfloat16",
            "use_cache": True,
        }
        return config | ({"layer_sharing": True} if self.layer_sharing else {})


SHAPES = {
    "base": Shape(),  # 47.5M weights: a quarter of an hour on one H200
    # 3.9M weights: an hour on two CPU cores, and small enough to keep 8 bits everywhere
    "small": Shape(vocab=4096, layers=8, hidden=192, heads=3, kv_heads=1, ffn=512, context=512, inner_bits=8),
    "toy": Shape(vocab=4096, layers=3, hidden=128, heads=2, kv_heads=1, ffn=192, context=256),  # to try the recipe in a minute
}


@dataclass(frozen=True)
class Paths:
    """Where a shape's files lie; each shape has a tokenizer of its own size."""

    build: Path

    @property
    def tokenizer(self) -> Path:
        return self.build / "tokenizer"

    @property
    def ids(self) -> Path:
        return self.build / "ids"

    @property
    def checkpoints(self) -> Path:
        return self.build / "checkpoints"

    @property
    def model(self) -> Path:
        return self.build / "model"


def choose(parser: ArgumentParser) -> tuple[Namespace, Shape, Paths]:
    """Adds --shape and --layer-sharing, parses, and looks both up."""
    parser.formatter_class = RawDescriptionHelpFormatter
    parser.add_argument("--shape", choices=SHAPES, default="base")
    parser.add_argument("--layer-sharing", action="store_true", help="run each block twice: the paper's LS variant")
    options = parser.parse_args()
    shape = replace(SHAPES[options.shape], layer_sharing=options.layer_sharing)
    return options, shape, Paths(Path(__file__).parent / "build" / options.shape)
