"""Tiny GGUF files with nothing but a tokenizer, and what the tokenizers from which they were made do with odd texts.

- `bpe.gguf`: kind `gpt2`. Its vocabulary was trained without cutting text into words, so that merges go across every border
  that a rule of `tokenizer.ggml.pre` could set. `PRE` has the rules as the models' own tokenizer.json files write them; the
  expectations are made with each of them by Hugging Face's `tokenizers`.
- `llama.gguf`: kind `llama` with dummy spaces and byte fallback, from the model in `fixtures/sentencepiece`, with added
  tokens. `llama_merges.gguf` is the same with a list of merges in place of scores, as converters write it that had only
  a tokenizer.json.
- `gemma.gguf`: kind `llama` without dummy spaces; runs of spaces, newlines and tabs are pieces that are always cut out.

`ids` reads control tokens in a text as such, `as_text`, where it differs, as text.
"""

import io
import json
import random
import re
from pathlib import Path
from typing import Any

import gguf
import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, trainers

from common import FIXTURES, HERE, record_versions
from strings import STRINGS

FOLDER = FIXTURES / "gguf_tokenizers"
TEXT = (HERE / "training_text.txt").read_text(encoding="utf-8")

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)

TEMPLATE = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"


def split(pattern: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def byte_level(use_regex: bool) -> dict[str, Any]:
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": use_regex}


DIGITS = {"type": "Digits", "individual_digits": True}
CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
ENDING = r"|\s*[\r\n]+|\s+(?!\S)|\s+"
CL100K = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*" + ENDING
QWEN2 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*" + ENDING


def o200k(contractions: str, digits: str) -> str:
    return (
        rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{contractions}|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{contractions}"
        rf"|{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*" + ENDING
    )


# Name: the normaliser, the steps, and whether merges are ignored for a word that is a token.
PRE: dict[str, tuple[dict[str, Any] | None, list[dict[str, Any]], bool]] = {
    "gpt-2": (None, [byte_level(use_regex=True)], False),
    "smollm": (None, [DIGITS, byte_level(use_regex=True)], False),
    "qwen2": ({"type": "NFC"}, [split(QWEN2), byte_level(use_regex=False)], False),
    "llama-bpe": (None, [split(CL100K), byte_level(use_regex=False)], True),
    "dbrx": (None, [split(CL100K), byte_level(use_regex=False)], False),
    "gpt-4o": (None, [split(o200k(CONTRACTIONS + "?", r"\p{N}{1,3}")), byte_level(use_regex=False)], False),
    "tekken": (None, [split(o200k("", r"\p{N}")), byte_level(use_regex=False)], True),
    # llama.cpp's own.
    "default": (
        None,
        [
            split(r"[\p{P}\$\+<=>\^~\|]+"),
            split(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"),
            split(r"\p{N}+"),
            split("[0-9][0-9][0-9]"),
            byte_level(use_regex=False),
        ],
        False,
    ),
}

ODD = [
    "I'LL we'Ve 'S 't 'RE 'm DON'T it\u2019s '\u017f",
    "12345678 1,024.50 ٠١٢٣٤٥ ½²Ⅷ x1y22z333",
    "a\r\nb\r\n\r\nc\rd\n \n  e   \n\n",
    "trailing   ",
    "  two  spaces\t\ttabs \t mixed\u00a0\u3000",
    "cafe\u0301 e\u0301\u0302 \u1100\u1161\u11a8 \u212b ﬁ",
    "CamelCaseHTTPServer snake_case /usr/bin//x a/b\n/c !!!\n\n(){}[];",
    "👨‍👩‍👧‍👦👍🏽🏳️‍🌈 \u200b\ufeff\u202e",
    "مرحبا بالعالم สวัสดี नमस्ते 東京タワー Ĳssel ǅ",
    "fn main() {\n    let x = 10;\n\treturn;\n}",
    "<tool>x<tool> <too <|im_start|>user\nHi<|im_end|>\n<|im_start|><unk></s><s> <|end|>",
    "x<tool>  \n\n\n<|im_end|>  y",
    "\n\n\n\n\n      \t\t\t<b>z</b>",
    "<0x0A><0x41> [PAD1] \x00\x7f",
]
PARTS = ["a", "the", " ", "  ", "\n", "\r\n", "\t", "'s", "'LL", "12", "3", "é", "e\u0301", "東", "😀", "<tool>", ".", "//", "A", "ing"]


def texts() -> list[str]:
    chance = random.Random(1)
    made = ["".join(chance.choices(PARTS, k=chance.randint(2, 20))) for _ in range(30)]
    return list(dict.fromkeys(["", " ", *ODD, *STRINGS[:14], *made]))


def words(parts: list[str], pattern: str) -> list[str]:
    return [part for text in parts for part in re.split(pattern, text)]


def row(text: str, ids: list[int], as_text: list[int]) -> dict[str, Any]:
    return {"text": text, "ids": ids} | ({} if as_text == ids else {"as_text": as_text})


def writer(name: str, architecture: str) -> gguf.GGUFWriter:
    made = gguf.GGUFWriter(FOLDER / f"{name}.gguf", architecture)
    made.add_chat_template(TEMPLATE)
    return made


def write(made: gguf.GGUFWriter) -> None:
    made.write_header_to_file()
    made.write_kv_data_to_file()
    made.close()


def make_bpe() -> dict[str, Any]:
    trainer = Tokenizer(models.BPE())
    trainer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    lines = [*STRINGS * 2, *texts() * 2, *words(TEXT.splitlines()[:60], "(?<=[.,]) ")]
    lines = words(lines, r"<\|.*?\|>|<tool>")
    trainer.train_from_iterator(
        lines, trainers.BpeTrainer(vocab_size=900, initial_alphabet=alphabet, max_token_length=12, show_progress=False)
    )
    model = json.loads(trainer.to_str())["model"]
    merges = [tuple(merge) for merge in model["merges"]]
    # A token that no merge makes: only a whole word becomes it.
    names = [*sorted(model["vocab"], key=model["vocab"].get), "tower", "Ġcapital"]
    control = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokens = [*control, *names, "<tool>", "[PAD1]"]
    kinds = [CONTROL] * 3 + [NORMAL] * len(names) + [USER_DEFINED, UNUSED]

    def tokenizer(pre: str, parse_special: bool) -> Tokenizer:
        normalizer, steps, ignore_merges = PRE[pre]
        vocab = {token: index for index, token in enumerate(tokens) if kinds[index] != UNUSED}
        made = Tokenizer(models.BPE(vocab, merges, ignore_merges=ignore_merges))
        parts = json.loads(made.to_str())
        parts |= {"normalizer": normalizer, "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps}}
        made = Tokenizer.from_str(json.dumps(parts))
        if parse_special:
            made.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control])
        made.add_tokens([AddedToken("<tool>", normalized=False)])
        return made

    made = writer("bpe", "llama")
    made.add_tokenizer_model("gpt2")
    made.add_tokenizer_pre("smollm")
    made.add_token_list(tokens)
    made.add_token_types(kinds)
    made.add_token_merges([" ".join(merge) for merge in merges])
    made.add_bos_token_id(0)
    made.add_eos_token_id(2)
    made.add_pad_token_id(0)
    made.add_add_bos_token(False)
    write(made)

    rows = {}
    for pre in PRE:
        parsed, plain = tokenizer(pre, parse_special=True), tokenizer(pre, parse_special=False)
        encoded = [(t, parsed.encode(t, add_special_tokens=False), plain.encode(t, add_special_tokens=False)) for t in texts()]
        rows[pre] = [row(text, ids.ids, as_text.ids) for text, ids, as_text in encoded]
    return rows


def sentencepiece_rows(model: bytes, control: dict[str, int], added: dict[str, int]) -> list[dict[str, Any]]:
    """Added tokens are found first, and SentencePiece encodes each stretch between them."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)

    def encode(text: str, found: dict[str, int]) -> list[int]:
        pattern = "|".join(sorted(map(re.escape, found), key=len, reverse=True))
        stretches = re.split(f"({pattern})", text) if found else [text]
        pieces = [[found[part]] if part in found else processor.encode(part) for part in stretches if part]
        return [processor.bos_id(), *(index for piece in pieces for index in piece)]

    return [row(text, encode(text, control | added), encode(text, added)) for text in texts()]


def make_llama() -> list[dict[str, Any]]:
    proto = sentencepiece_model_pb2.ModelProto.FromString((FIXTURES / "sentencepiece/tokenizer.model").read_bytes())
    pieces = [(piece.piece, piece.score, piece.type) for piece in proto.pieces]
    added = {"<|im_start|>": CONTROL, "<|im_end|>": CONTROL, "<|end|>": CONTROL, "<tool>": USER_DEFINED}
    pieces += [(text, -1000.0, kind) for text, kind in added.items()]
    scores = {text: score for text, score, kind in pieces if kind == NORMAL}
    cuts = [(text, at) for text in scores for at in range(1, len(text))]
    merges = [(text[:at], text[at:]) for text, at in cuts if text[:at] in scores and text[at:] in scores]
    merges.sort(key=lambda pair: -scores["".join(pair)])
    for name in ("llama", "llama_merges"):
        made = writer(name, "llama")
        made.add_tokenizer_model("llama")
        made.add_tokenizer_pre("default")
        made.add_token_list([text for text, _, _ in pieces])
        if name == "llama":
            made.add_token_scores([score for _, score, _ in pieces])
        else:
            made.add_token_scores([-1000.0] * len(pieces))
            made.add_token_merges([" ".join(pair) for pair in merges])
        made.add_token_types([kind for _, _, kind in pieces])
        made.add_bos_token_id(1)
        made.add_eos_token_id(2)
        made.add_unk_token_id(0)
        made.add_add_bos_token(True)
        write(made)
    ids = {text: index for index, (text, _, _) in enumerate(pieces)}
    control = {text: ids[text] for text, _, kind in pieces if kind in (CONTROL, UNKNOWN)}
    return sentencepiece_rows(proto.SerializeToString(), control, {"<tool>": ids["<tool>"]})


def make_gemma() -> list[dict[str, Any]]:
    model = io.BytesIO()
    runs = [sign * count for sign in "\n\u2581\t" for count in range(1 if sign == "\n" else 2, 6)]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT.splitlines()),
        model_writer=model,
        model_type="bpe",
        vocab_size=640,
        add_dummy_prefix=False,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        byte_fallback=True,
        character_coverage=0.99,
        pad_id=0,
        eos_id=1,
        bos_id=2,
        unk_id=3,
        control_symbols=["<|im_start|>", "<|im_end|>"],
        user_defined_symbols=["<tool>", "<b>", "</b>", *runs],
        num_threads=1,
        minloglevel=2,
    )
    proto = sentencepiece_model_pb2.ModelProto.FromString(model.getvalue())
    kinds = [CONTROL if piece.type == UNKNOWN else piece.type for piece in proto.pieces]
    made = writer("gemma", "gemma3")
    made.add_tokenizer_model("llama")
    made.add_tokenizer_pre("default")
    # Converters write pieces that are always cut out with spaces.
    texts_ = [p.piece.replace("\u2581", " ") if p.type == USER_DEFINED else p.piece for p in proto.pieces]
    made.add_token_list(texts_)
    made.add_token_scores([piece.score for piece in proto.pieces])
    made.add_token_types(kinds)
    made.add_bos_token_id(2)
    made.add_eos_token_id(1)
    made.add_unk_token_id(3)
    made.add_add_bos_token(True)
    made.add_add_space_prefix(False)
    write(made)
    control = {piece.piece: index for index, piece in enumerate(proto.pieces) if kinds[index] == CONTROL}
    return sentencepiece_rows(proto.SerializeToString(), control, {})


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    expected = {**make_bpe(), "llama": make_llama(), "gemma": make_gemma()}
    rows = ",\n".join(f' "{name}": [\n  ' + ",\n  ".join(map(json.dumps, rows)) + "\n ]" for name, rows in expected.items())
    (FOLDER / "expected.json").write_text(f"{{\n{rows}\n}}\n", encoding="utf-8")
    record_versions(Path(__file__).name, "gguf", "sentencepiece", "protobuf", "tokenizers")


if __name__ == "__main__":
    main()
