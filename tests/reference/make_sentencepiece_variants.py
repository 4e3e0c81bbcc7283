"""SentencePiece models with the settings that LLaMA's does not have, and what SentencePiece makes of odd strings.

- `user_defined`: pieces that are always cut out whole, one of them the beginning of another;
- `unused`: the same, with a third of its pieces marked as unused, so that they are merged and taken apart again;
- `char_map`: a map of characters (longest match first, to several characters, to nothing), white space collapsed,
  unknown characters as `<unk>`, not as bytes;
- `no_prefix`: no dummy space, `legacy` does not matter.
"""

import io
import random
import tempfile
from pathlib import Path

import sentencepiece
from sentencepiece import sentencepiece_model_pb2

from common import FIXTURES, HERE, record_versions, write_json_lines
from strings import EMOJI, SCRIPTS, SPACES, WORDS

FOLDER = FIXTURES / "sentencepiece_variants"
TEXT = (HERE / "training_text.txt").read_text(encoding="utf-8").splitlines()

# From, to: code points in hexadecimal, as spm_train reads them.
RULES = ["FB01\t66 69", "3000\t20", "9\t20", "A\t20", "AD\t", "65 301\tE9", "41\t61", "41 42 43\t78 79"]

ODD = [
    "<sep>",
    "a<sep>b",
    "[IN",
    "[INST",
    "[INST] the [/INST]",
    "<sep><sep> <sep>",
    "the then thethe  the",
    "  the  ",
    "ﬁne ﬁ",
    "ＡＢＣ　ｄｅｆ",
    "soft\u00adhyphen",
    "\u00ad",
    "e\u0301e\u0301\u0302 e",
    "A AB ABC ABCA ABCABD",
    "\u3000\u3000 a\u3000b\u3000",
    " \t\n ",
    "\u00ad \u00ad a",
]


def train(rules: list[str], **settings: object) -> bytes:
    model = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        if rules:
            table = Path(folder) / "rules.tsv"
            table.write_text("\n".join(rules) + "\n", encoding="utf-8")
            settings["normalization_rule_tsv"] = str(table)
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(TEXT), model_writer=model, model_type="bpe", num_threads=1, minloglevel=2, **settings
        )
    # The trainer's notes on itself, among them the path of the rules, differ from run to run.
    proto = sentencepiece_model_pb2.ModelProto.FromString(model.getvalue())
    proto.normalizer_spec.ClearField("normalization_rule_tsv")
    return proto.SerializeToString(deterministic=True)


def with_unused(model: bytes) -> bytes:
    proto = sentencepiece_model_pb2.ModelProto.FromString(model)
    normal = [piece for piece in proto.pieces if piece.type == piece.NORMAL and len(piece.piece) > 1]
    for piece in normal[::3]:
        piece.type = piece.UNUSED
    return proto.SerializeToString(deterministic=True)


def strings() -> list[str]:
    parts = [
        "a",
        "e",
        " ",
        "  ",
        "th",
        "ing",
        "<sep>",
        "[INST]",
        "[IN",
        "\n",
        "é",
        "ﬁ",
        "\u3000",
        "▁",
        "日",
        "the ",
        "ABC",
        "e\u0301",
    ]
    chance = random.Random(1)
    made = ["".join(chance.choices(parts, k=chance.randint(1, 20))) for _ in range(120)]
    return [*ODD, *WORDS, *SPACES, *SCRIPTS[:20], *EMOJI[:8], *made]


def main() -> None:
    identity = {
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
        "byte_fallback": True,
        "character_coverage": 0.99,
    }
    symbols = ["<sep>", "[INST]", "[IN", "the", "  "]
    user_defined = train([], vocab_size=600, user_defined_symbols=symbols, **identity)
    models = {
        "user_defined": user_defined,
        "unused": with_unused(user_defined),
        "char_map": train(RULES, vocab_size=300, byte_fallback=False, character_coverage=0.99),
        "no_prefix": train([], vocab_size=600, add_dummy_prefix=False, **identity),
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, model in models.items():
        (FOLDER / f"{name}.model").write_bytes(model)
        processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        rows = [{"text": text, "ids": processor.encode(text)} for text in strings()]
        for row in rows:
            if processor.unk_id() not in row["ids"]:
                row["decoded"] = processor.decode(row["ids"])
        write_json_lines(FOLDER / f"{name}.json", "strings", {"made_by": "sentencepiece"}, rows)
    record_versions(Path(__file__).name, "sentencepiece", "protobuf")


if __name__ == "__main__":
    main()
