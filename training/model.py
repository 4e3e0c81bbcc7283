"""The network: a Llama in plain PyTorch, its weights stacked over the layers.

Stacking makes thirty thin layers one batch for the optimiser and for quantisation; `state_dict_huggingface` takes the stack
apart again. The block is one function compiled once and called thirty times, which keeps compilation to seconds.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from affine import fake_quantise
from shape import Shape

HUGGINGFACE = {
    "q": "self_attn.q_proj",
    "k": "self_attn.k_proj",
    "v": "self_attn.v_proj",
    "o": "self_attn.o_proj",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
    "attention_norm": "input_layernorm",
    "mlp_norm": "post_attention_layernorm",
}
MATRICES = ["q", "k", "v", "o", "gate", "up", "down"]


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    wide = x.float()
    return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)).to(x.dtype) * weight


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions, half-split form: channel i turns with channel i + head_dim / 2."""
    first, second = x.float().chunk(2, -1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1).to(x.dtype)


def block(x: Tensor, w: dict[str, Tensor], cos: Tensor, sin: Tensor, head_dim: int, eps: float) -> Tensor:
    batch, length, _ = x.shape
    h = rms_norm(x, w["attention_norm"], eps)
    q, k, v = (F.linear(h, w[n]).view(batch, length, -1, head_dim).transpose(1, 2) for n in "qkv")
    a = F.scaled_dot_product_attention(rotate(q, cos, sin), rotate(k, cos, sin), v, is_causal=True, enable_gqa=True)
    x = x + F.linear(a.transpose(1, 2).reshape(batch, length, -1), w["o"])
    h = rms_norm(x, w["mlp_norm"], eps)
    return x + F.linear(F.silu(F.linear(h, w["gate"])) * F.linear(h, w["up"]), w["down"])


def read_out(x: Tensor, norm: Tensor, embedding: Tensor, eps: float) -> Tensor:
    return F.linear(rms_norm(x, norm, eps), embedding)


def loss_sums(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Summed cross entropy and summed squared log-partition (z-loss, which keeps bf16 logits small) over targets >= 0."""
    wide = logits.float().flatten(0, -2)
    partition = wide.logsumexp(-1)
    flat = targets.flatten()
    chosen = wide.gather(-1, flat.clamp(min=0)[:, None]).squeeze(-1)
    counts = flat >= 0
    return ((partition - chosen) * counts).sum(), (partition.square() * counts).sum()


def read_out_loss(x: Tensor, norm: Tensor, embedding: Tensor, targets: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    return loss_sums(read_out(x, norm, embedding, eps), targets)


compiled_block = torch.compile(block)
compiled_read_out_loss = torch.compile(read_out_loss)
compiled_fake_quantise = torch.compile(fake_quantise)


class Network(nn.Module):
    """Weights in float32; the passes run in the dtype that they are asked for."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        self.compiled = False
        self.quantised = False
        n, h, f = shape.layers, shape.hidden, shape.ffn
        queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
        sizes = {"q": (queries, h), "k": (keys, h), "v": (keys, h), "o": (h, queries)}
        sizes |= {"gate": (f, h), "up": (f, h), "down": (h, f)}
        self.embedding = nn.Parameter(torch.randn(shape.vocab, h) * 0.02)
        self.norm = nn.Parameter(torch.ones(h))
        self.layers = nn.ParameterDict({name: torch.randn(n, *size) * 0.02 for name, size in sizes.items()})
        for name in ("o", "down"):
            self.layers[name].data /= (2 * n * shape.runs) ** 0.5
        self.layers["attention_norm"] = nn.Parameter(torch.ones(n, h))
        self.layers["mlp_norm"] = nn.Parameter(torch.ones(n, h))
        frequencies = shape.rope_theta ** (-torch.arange(0, shape.head_dim, 2) / shape.head_dim)
        angles = torch.arange(shape.context)[:, None] * frequencies
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        bits = torch.full((n, 1, 1, 1), shape.inner_bits)
        bits[0] = bits[-1] = shape.edge_bits
        self.register_buffer("bits", bits, persistent=False)

    def weights(self, dtype: torch.dtype) -> tuple[Tensor, list[dict[str, Tensor]]]:
        """The embedding and each layer's weights as the forward pass uses them: cast, and quantised if asked."""
        embedding, stacks = self.embedding, dict(self.layers.items())
        if self.quantised:
            fake = compiled_fake_quantise if self.compiled else fake_quantise
            embedding = fake(embedding, self.shape.edge_bits)
            stacks |= {name: fake(stacks[name], self.bits) for name in MATRICES}
        split = {name: stack.to(dtype).unbind(0) for name, stack in stacks.items()}
        return embedding.to(dtype), [{n: split[n][i] for n in split} for i in range(self.shape.layers)]

    def run(self, ids: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Ids -> what the last block leaves, and the embedding to read it out with."""
        step = compiled_block if self.compiled else block
        embedding, layers = self.weights(dtype)
        cos, sin = self.cos[: ids.shape[1]], self.sin[: ids.shape[1]]
        x = F.embedding(ids, embedding)
        for w in layers:
            for _ in range(self.shape.runs):
                x = step(x, w, cos, sin, self.shape.head_dim, self.shape.norm_eps)
        return x, embedding

    def forward(self, ids: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Logits at every position."""
        x, embedding = self.run(ids, dtype)
        return read_out(x, self.norm.to(dtype), embedding, self.shape.norm_eps)

    def loss(self, ids: Tensor, targets: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        x, embedding = self.run(ids, dtype)
        read = compiled_read_out_loss if self.compiled else read_out_loss
        return read(x, self.norm.to(dtype), embedding, targets, self.shape.norm_eps)

    def state_dict_huggingface(self) -> dict[str, Tensor]:
        """The tensors under the names that LlamaForCausalLM gives them."""
        out = {"model.embed_tokens.weight": self.embedding, "model.norm.weight": self.norm}
        for name, stack in self.layers.items():
            for i, weight in enumerate(stack.unbind(0)):
                out[f"model.layers.{i}.{HUGGINGFACE[name]}.weight"] = weight
        return {name: tensor.detach().cpu().contiguous() for name, tensor in out.items()}

    def load_huggingface(self, tensors: dict[str, Tensor]) -> None:
        with torch.no_grad():
            self.embedding.copy_(tensors["model.embed_tokens.weight"])
            self.norm.copy_(tensors["model.norm.weight"])
            for name, stack in self.layers.items():
                for i in range(self.shape.layers):
                    stack[i].copy_(tensors[f"model.layers.{i}.{HUGGINGFACE[name]}.weight"])
