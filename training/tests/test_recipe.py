"""What the recipe promises: Hugging Face reads the same network, MLX the same quantisation, and the template the same text."""

import dataclasses
import json

import pytest
import torch
from jinja2.sandbox import ImmutableSandboxedEnvironment
from safetensors.torch import save_file
from transformers import LlamaForCausalLM

from affine import fake_quantise, pack, quantise
from chat import TEMPLATE, render, write_call
from model import Network
from shape import SHAPES

TOY = SHAPES["toy"]
IDS = torch.randint(0, TOY.vocab, (2, 40), generator=torch.Generator().manual_seed(3))


def lively(shape):
    """A network with weights large enough for differences to show."""
    torch.manual_seed(5)
    network = Network(shape)
    for parameter in network.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return network


def huggingface(network, tmp_path):
    save_file(network.state_dict_huggingface(), tmp_path / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "config.json").write_text(json.dumps(network.shape.huggingface([2], 0)))
    return LlamaForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()


def test_transformers_gives_the_same_logits(tmp_path):
    network = lively(TOY)
    with torch.no_grad():
        torch.testing.assert_close(huggingface(network, tmp_path)(IDS).logits, network(IDS), rtol=1e-4, atol=1e-4)


def test_layer_sharing_runs_each_block_twice(tmp_path):
    """The reference is a plain Llama of twice the depth, in which each layer stands twice."""
    shared = lively(dataclasses.replace(TOY, layer_sharing=True))
    plain = Network(dataclasses.replace(TOY, layers=2 * TOY.layers))
    with torch.no_grad():
        plain.embedding.copy_(shared.embedding)
        plain.norm.copy_(shared.norm)
        for name, stack in shared.layers.items():
            plain.layers[name].copy_(stack.repeat_interleave(2, 0))
        torch.testing.assert_close(huggingface(plain, tmp_path)(IDS).logits, shared(IDS), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("bits", [4, 8])
def test_quantisation_is_mlx(bits):
    mx = pytest.importorskip("mlx.core")
    weight = torch.randn(48, 256, generator=torch.Generator().manual_seed(bits))
    q, scales, biases = quantise(weight, bits)
    packed, mx_scales, mx_biases = mx.quantize(mx.array(weight.numpy()), group_size=64, bits=bits)
    torch.testing.assert_close(scales, torch.tensor(mx_scales.tolist()), rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(biases, torch.tensor(mx_biases.tolist()), rtol=1e-6, atol=1e-8)
    ours, theirs = pack(q, bits).to(torch.int64), torch.tensor(packed.tolist())
    assert (ours != theirs).float().mean() < 0.01  # a value exactly between two steps may round either way


@pytest.mark.parametrize("bits", [4, 8])
def test_training_sees_what_is_written(bits):
    weight = torch.randn(16, 128)
    q, scales, biases = quantise(weight, bits)
    read = q.unflatten(-1, (-1, 64)) * scales.half().float()[..., None] + biases.half().float()[..., None]
    torch.testing.assert_close(fake_quantise(weight, bits), read.flatten(-2), rtol=1e-6, atol=1e-6)


def test_template_and_render_agree():
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    tools = [{"name": "f", "description": "does \"it\"", "parameters": {"type": "object"}}, {"name": "g"}]
    call = {"role": "assistant", "content": write_call("f", {"x": 1})}
    structured = {"role": "assistant", "content": None, "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {"x": 1}}}]}
    messages = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "Do it"},
        call,
        {"role": "tool", "content": "done"},
        {"role": "assistant", "content": "It is done."},
    ]
    template = environment.from_string(TEMPLATE)
    for shown in (messages, messages[1:], messages[1:2]):
        for given in (tools, []):
            ours = "".join(t for t, _ in render({"messages": shown, "tools": [json.dumps(t, ensure_ascii=False) for t in given]}))
            assert template.render(messages=shown, tools=given) == ours
            openai = [structured if m is call else m for m in shown]
            wrapped = [{"type": "function", "function": t} for t in given]
            assert template.render(messages=openai, tools=wrapped) == ours
    assert template.render(messages=messages[1:2], add_generation_prompt=True).endswith("<|im_start|>assistant\n")
