"""What Hugging Face's slow `LlamaTokenizer` makes of the strings: the yardstick for reading a `tokenizer.model`.

Its decoding is no yardstick where a text begins with spaces: it strips the dummy space twice, or cuts a piece of
several spaces into something that is no piece. There the `sentencepiece` library itself has the right text, so both
are written.

`transformers` 5 has dropped the slow tokenizers, so this script runs with the last 4.x
(`requirements-slow-tokenizer.txt`), in an environment of its own.

    make_slow_tokenizer.py                        writes fixtures/sentencepiece/expected.json
    make_slow_tokenizer.py --mobilellm FOLDER     writes fixtures/expected_mobilellm.json from the tokenizer.model that
                                                  the MobileLLM family ships: ids of our strings, nothing of the file
"""

import argparse
import hashlib
from pathlib import Path
from typing import Any

import transformers
from transformers import LlamaTokenizer

from common import FIXTURES, record_versions, write_json_lines
from strings import STRINGS

# Id sequences that no text gives: what a model may still generate.
UNUSUAL_IDS: list[list[int]] = [
    [],
    [1],
    [2],
    [0],
    [1, 2],
    [1, 1, 2, 2],
    [0, 0],
    [243, 162, 155, 131],  # the bytes of an emoji
    [243, 162, 155],  # ... cut short
    [1, 243, 162],
    [131, 131],  # continuation bytes with no beginning
    [198, 172, 300, 198],  # é, a piece, and half an é
    [255, 256, 257, 258],
    [3],
    [13],
    [35],
    [35, 35],
    [1, 35],
    [1, 259],
    [259],
    [259, 259],
    [259, 300],
    [300, 259],
    [1, 300, 301],
    [300, 1, 301],
    [300, 2, 301, 2],
    [2, 300],
    [1, 2, 300],
    [300, 0, 301],
    [1, 13, 13, 300],
]


def expected(folder: Path, header: dict[str, Any], path: Path) -> None:
    tokenizer = LlamaTokenizer.from_pretrained(folder)
    assert tokenizer.legacy and not tokenizer.is_fast

    def decodes(ids: list[int]) -> dict[str, Any]:
        return {
            "ids": ids,
            "decoded": tokenizer.decode(ids, skip_special_tokens=False),
            "decoded_skip_special": tokenizer.decode(ids, skip_special_tokens=True),
            "decoded_by_sentencepiece": tokenizer.sp_model.decode(
                [i for i in ids if i not in tokenizer.all_special_ids]
            ),
        }

    rows: list[dict[str, Any]] = [{"text": text} | decodes(tokenizer.encode(text)) for text in STRINGS]
    rows += [{"text": None} | decodes(ids) for ids in UNUSUAL_IDS]
    header = {"made_by": f"transformers {transformers.__version__} LlamaTokenizer, legacy"} | header
    write_json_lines(path, "strings", header, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mobilellm", type=Path, metavar="FOLDER", help="folder of a MobileLLM release")
    mobilellm: Path | None = parser.parse_args().mobilellm
    if mobilellm is None:
        folder = FIXTURES / "sentencepiece"
        expected(folder, {}, folder / "expected.json")
    else:
        digest = hashlib.sha256((mobilellm / "tokenizer.model").read_bytes()).hexdigest()
        expected(mobilellm, {"tokenizer_model_sha256": digest}, FIXTURES / "expected_mobilellm.json")
    record_versions(Path(__file__).name, "transformers", "sentencepiece")


if __name__ == "__main__":
    main()
