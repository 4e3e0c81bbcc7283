"""Trains the byte-level BPE tokenizer and writes it with its chat template.

The family's own tokenizer is research-licensed, so this one is learned from our own corpus. Digits are split, so that the
network sees numbers digit by digit. Few entries keep the 8-bit embedding small beside thin layers: 12,288 for the base shape.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from chat import CALL, CALL_END, END, RESPONSE, RESPONSE_END, START, STOP, TEMPLATE, render
from prepare import DOCUMENTS, read_documents
from shape import choose

CONTROL = [STOP, START, END]
MARKUP = [CALL, CALL_END, RESPONSE, RESPONSE_END, "<tools>", "</tools>"]
RESERVED = [f"<|reserved_{i}|>" for i in range(7)]
SAMPLE_BYTES = 25_000_000
"""Taken from each group at most: enough to learn merges, and the books must not outvote the rest."""

WORDS = Regex(r"'(?:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+")


def sample_texts() -> Iterator[str]:
    """Text of every group up to SAMPLE_BYTES, with the chat markup left out."""
    for group in sorted(DOCUMENTS.glob("*.jsonl")):
        left = SAMPLE_BYTES
        for document in read_documents(group.stem):
            text = document.get("text") or "\n".join(m["content"] for m in document["messages"])
            yield text
            left -= len(text)
            if left < 0:
                break


def train(entries: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(WORDS, behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    special = [AddedToken(t, special=True, normalized=False) for t in CONTROL + MARKUP + RESERVED]
    trainer = trainers.BpeTrainer(
        vocab_size=entries,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sample_texts(), trainer)
    return tokenizer


def save(tokenizer: Tokenizer, context: int, folder: Path) -> None:
    """Writes tokenizer.json and tokenizer_config.json.

    The markup of tool calls is one token each but not `special`: a reader of the decoded text must see it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = json.loads(tokenizer.to_str())
    for token in content["added_tokens"]:
        token["special"] = token["content"] not in MARKUP
    (folder / "tokenizer.json").write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context,
        "bos_token": None,
        "eos_token": END,
        "pad_token": STOP,
        "unk_token": None,
        "clean_up_tokenization_spaces": False,
        "chat_template": TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    _, shape, paths = choose(argparse.ArgumentParser(description=__doc__))
    save(train(shape.vocab), shape.context, paths.tokenizer)
    trained = Tokenizer.from_file(str(paths.tokenizer / "tokenizer.json"))
    text = "".join(p for p, _ in render({"messages": [{"role": "user", "content": "What is 12 + 7?"}]}))
    print(trained.get_vocab_size(), "entries;", trained.encode(text).tokens)
