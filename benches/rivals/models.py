#!/usr/bin/env python3
"""A SmolLM2-135M of random weights, for every engine from one seed: safetensors, GGUF (Q4_0), ONNX (q4).

    python3 models.py DIR          needs requirements.txt; writes DIR/{hf,gguf,onnx}, about 0.5 GB in all

DIR appears only when it is complete, so that an interrupted run leaves no broken models.

All engines get the same values: normal(0, 0.02) in f16, norms 1. The tokenizer makes one token per ASCII character, so a
prompt of n characters has n tokens in every engine. No token ends a text, so every engine generates the requested number.
"""

import json
import shutil
import sys
import zlib
from pathlib import Path

import gguf
import numpy as np
from onnx import TensorProto, helper, numpy_helper

NAME = "smollm2-135m"
HIDDEN, LAYERS, HEADS, KV_HEADS, HEAD_DIM, FFN, VOCAB = 576, 30, 9, 3, 64, 1536, 49152
THETA, EPSILON, POSITIONS = 100000.0, 1e-5, 8192
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def random(name, *shape):
    generator = np.random.default_rng([1234, zlib.crc32(name.encode())])
    return (generator.standard_normal(shape, dtype=np.float32) * np.float32(0.02)).astype(np.float16)


def weights():
    """The tensors: Hugging Face names and f16 arrays."""
    tensors = {"model.embed_tokens.weight": random("model.embed_tokens.weight", VOCAB, HIDDEN)}
    shapes = {
        "self_attn.q_proj": (HEADS * HEAD_DIM, HIDDEN),
        "self_attn.k_proj": (KV_HEADS * HEAD_DIM, HIDDEN),
        "self_attn.v_proj": (KV_HEADS * HEAD_DIM, HIDDEN),
        "self_attn.o_proj": (HIDDEN, HEADS * HEAD_DIM),
        "mlp.gate_proj": (FFN, HIDDEN),
        "mlp.up_proj": (FFN, HIDDEN),
        "mlp.down_proj": (HIDDEN, FFN),
    }
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}."
        for norm in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{prefix}{norm}.weight"] = np.ones(HIDDEN, np.float16)
        for module, shape in shapes.items():
            name = f"{prefix}{module}.weight"
            tensors[name] = random(name, *shape)
    tensors["model.norm.weight"] = np.ones(HIDDEN, np.float16)
    return tensors


def vocabulary():
    """GPT-2's byte characters, two spaces as the only merge, and words that occur in no text."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    spelled = {byte: chr(byte) for byte in plain} | {byte: chr(256 + i) for i, byte in enumerate(others)}
    tokens = SPECIAL + [spelled[byte] for byte in range(256)] + ["\u0120\u0120"]
    return tokens + [f"w{index:06d}" for index in range(len(tokens), VOCAB)]


def tokenizer(tokens):
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    added = [
        {"id": i, "content": text, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        for i, text in enumerate(SPECIAL)
    ]
    model = {
        "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
        "fuse_unk": False, "byte_fallback": False, "vocab": {t: i for i, t in enumerate(tokens)}, "merges": ["\u0120 \u0120"],
    }
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
        "pre_tokenizer": byte_level, "post_processor": None, "decoder": byte_level, "model": model,
    }


CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "attention_bias": False, "hidden_act": "silu",
    "hidden_size": HIDDEN, "intermediate_size": FFN, "max_position_embeddings": POSITIONS, "num_attention_heads": HEADS,
    "num_hidden_layers": LAYERS, "num_key_value_heads": KV_HEADS, "head_dim": HEAD_DIM, "rms_norm_eps": EPSILON,
    "rope_theta": THETA, "rope_scaling": None, "tie_word_embeddings": True, "torch_dtype": "float16", "use_cache": True,
    "vocab_size": VOCAB,
}  # fmt: skip


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def write_text_files(folder, tokens, config):
    write_json(folder / "config.json", config)
    write_json(folder / "generation_config.json", {"pad_token_id": 2})
    write_json(folder / "tokenizer.json", tokenizer(tokens))
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": "GPT2Tokenizer", "model_max_length": POSITIONS})


def write_safetensors(folder, tensors, tokens):
    write_text_files(folder, tokens, CONFIG)
    header, end = {}, 0
    for name, array in tensors.items():
        header[name] = {"dtype": "F16", "shape": list(array.shape), "data_offsets": [end, end + array.nbytes]}
        end += array.nbytes
    text = json.dumps(header).encode()
    with open(folder / "model.safetensors", "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in tensors.values():
            file.write(array.tobytes())


def write_gguf(path, tensors, tokens):
    path.parent.mkdir(parents=True, exist_ok=True)
    modules = {
        "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
        "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    }  # fmt: skip
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name(f"{NAME}-random")
    writer.add_context_length(POSITIONS)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FFN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(EPSILON)
    writer.add_rope_freq_base(THETA)
    writer.add_rope_dimension_count(HEAD_DIM)
    writer.add_vocab_size(VOCAB)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL] * len(SPECIAL) + [gguf.TokenType.NORMAL] * (VOCAB - len(SPECIAL)))
    writer.add_token_merges(["\u0120 \u0120"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)
    q4 = gguf.GGMLQuantizationType.Q4_0
    for name, array in tensors.items():
        if name.startswith("model.layers."):
            _, _, layer, module = name.removesuffix(".weight").split(".", 3)
            to = f"blk.{layer}.{modules[module]}.weight"
            heads = {"self_attn.q_proj": HEADS, "self_attn.k_proj": KV_HEADS}.get(module)
            if heads:  # in GGUF the two values of a rotary pair are neighbours
                array = array.reshape(heads, 2, HEAD_DIM // 2, HIDDEN).swapaxes(1, 2).reshape(array.shape)
        else:
            to = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}[name]
        if array.ndim == 1:
            writer.add_tensor(to, array.astype(np.float32))
        else:
            packed = gguf.quants.quantize(np.ascontiguousarray(array).astype(np.float32), q4)
            writer.add_tensor(to, packed, raw_dtype=q4)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class Graph:
    """Builds an ONNX graph with the operators that the exporter of onnxruntime uses."""

    def __init__(self):
        self.nodes, self.constants = [], []

    def constant(self, name, array):
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, kind, inputs, outputs, domain="", **attributes):
        names = [outputs] if isinstance(outputs, str) else outputs
        self.nodes.append(helper.make_node(kind, inputs, names, f"{names[0]}/{kind}", domain=domain, **attributes))
        return names[0]

    def linear(self, inputs, name, output, array):
        """Quantises to 4 bits, symmetric, in groups of 32: the format of MatMulNBits."""
        rows, cols = array.shape
        groups = array.astype(np.float32).reshape(rows, cols // 32, 32)
        extreme = np.take_along_axis(groups, np.abs(groups).argmax(-1)[..., None], -1)[..., 0]
        scales = extreme / -8
        integers = np.rint(groups / np.where(scales == 0, 1, scales)[..., None]) + 8
        integers = np.clip(integers, 0, 15).astype(np.uint8)
        packed = self.constant(f"{name}_q4", integers[..., 0::2] | integers[..., 1::2] << 4)
        scales = self.constant(f"{name}_scales", scales.astype(np.float32).reshape(-1))
        return self.node(
            "MatMulNBits", [inputs, packed, scales], output, MICROSOFT, K=cols, N=rows, bits=4, block_size=32, accuracy_level=4
        )


MICROSOFT = "com.microsoft"


def write_onnx(folder, tensors, tokens):
    write_text_files(folder, tokens, CONFIG)
    graph = Graph()
    inverse = 1.0 / THETA ** (np.arange(0, HEAD_DIM, 2, dtype=np.float64) / HEAD_DIM)
    angles = np.outer(np.arange(POSITIONS), inverse)
    graph.constant("cosines", np.cos(angles).astype(np.float32))
    graph.constant("sines", np.sin(angles).astype(np.float32))
    graph.constant("axis", np.array([1], np.int64))
    graph.constant("one", np.array(1, np.int64))
    graph.node("ReduceSum", ["attention_mask", "axis"], "mask_sum", keepdims=0)
    graph.node("Sub", ["mask_sum", "one"], "last")
    graph.node("Cast", ["last"], "last_position", to=TensorProto.INT32)
    graph.node("Shape", ["attention_mask"], "mask_shape")
    graph.node("Gather", ["mask_shape", "one"], "mask_length", axis=0)
    graph.node("Cast", ["mask_length"], "total_length", to=TensorProto.INT32)

    def value(name, *shape, dtype=TensorProto.FLOAT):
        return helper.make_tensor_value_info(name, dtype, ["batch_size", *shape])

    integer = TensorProto.INT64
    inputs = [value("input_ids", "sequence_length", dtype=integer), value("attention_mask", "total_sequence_length", dtype=integer)]
    outputs = [value("logits", "sequence_length", VOCAB)]
    norm = lambda name: graph.constant(name, tensors[name].astype(np.float32))  # noqa: E731
    embedding = tensors["model.embed_tokens.weight"]
    residual = graph.node("Gather", [graph.constant("embedding", embedding.astype(np.float32)), "input_ids"], "embedded", axis=0)
    first = norm("model.layers.0.input_layernorm.weight")
    hidden = graph.node("SimplifiedLayerNormalization", [residual, first], "normed", axis=-1, epsilon=EPSILON, stash_type=1)
    for layer in range(LAYERS):
        prefix, short = f"model.layers.{layer}.", f"layer{layer}_"

        def linear(inputs, module):
            return graph.linear(inputs, short + module, f"{short}{module}_out", tensors[f"{prefix}{module}.weight"])

        past = [f"past_key_values.{layer}.{kind}" for kind in ("key", "value")]
        present = [f"present.{layer}.{kind}" for kind in ("key", "value")]
        inputs += [value(name, KV_HEADS, "past_sequence_length", HEAD_DIM) for name in past]
        outputs += [value(name, KV_HEADS, "total_sequence_length", HEAD_DIM) for name in present]
        projected = [linear(hidden, f"self_attn.{kind}_proj") for kind in "qkv"]
        attended = graph.node(
            "GroupQueryAttention",
            [*projected, *past, "last_position", "total_length", "cosines", "sines"],
            [f"{short}attended", *present],
            MICROSOFT,
            num_heads=HEADS, kv_num_heads=KV_HEADS, scale=HEAD_DIM**-0.5, local_window_size=-1, softcap=0.0, do_rotary=1,
            rotary_interleaved=0,
        )  # fmt: skip
        added = linear(attended, "self_attn.o_proj")
        weight = norm(f"{prefix}post_attention_layernorm.weight")
        outs = [f"{short}mlp_in", "", "", f"{short}middle"]
        hidden = graph.node("SkipSimplifiedLayerNormalization", [residual, added, weight], outs, MICROSOFT, epsilon=EPSILON)
        residual = outs[3]
        gate, up = linear(hidden, "mlp.gate_proj"), linear(hidden, "mlp.up_proj")
        sigmoid = graph.node("Sigmoid", [gate], f"{short}sigmoid")
        silu = graph.node("Mul", [gate, sigmoid], f"{short}silu")
        added = linear(graph.node("Mul", [silu, up], f"{short}gated"), "mlp.down_proj")
        last = layer + 1 == LAYERS
        weight = norm("model.norm.weight" if last else f"model.layers.{layer + 1}.input_layernorm.weight")
        outs = [f"{short}out"] + ([] if last else ["", "", f"{short}residual"])
        hidden = graph.node("SkipSimplifiedLayerNormalization", [residual, added, weight], outs, MICROSOFT, epsilon=EPSILON)
        residual = outs[-1]
    graph.linear(hidden, "lm_head", "logits", embedding)
    made = helper.make_graph(graph.nodes, NAME, inputs, outputs, graph.constants)
    opsets = [helper.make_opsetid("", 14), helper.make_opsetid(MICROSOFT, 1)]
    model = helper.make_model(made, opset_imports=opsets, ir_version=8, producer_name="mobilellm benches/rivals")
    path = folder / "onnx" / "model_q4.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())


def main():
    final = Path(sys.argv[1])
    folder = final.with_name(f"{final.name}.part")
    shutil.rmtree(folder, ignore_errors=True)
    tensors, tokens = weights(), vocabulary()
    write_safetensors(folder / "hf", tensors, tokens)
    write_gguf(folder / "gguf" / "model-Q4_0.gguf", tensors, tokens)
    # transformers.js looks for the name of a model in a folder of models.
    write_onnx(folder / "onnx" / NAME, tensors, tokens)
    folder.rename(final)


if __name__ == "__main__":
    main()
