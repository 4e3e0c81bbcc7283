"""Trains the two tokenizers of the fixtures and writes what the byte-level ones do with some hundred strings.

The MobileLLM family ships a SentencePiece `tokenizer.model` under a research licence, so tests use one of our own
that was trained with the same settings. (What that one does with the strings is written by `make_slow_tokenizer.py`,
which needs an older `transformers`.) The byte-level BPE tokenizers have the two shapes met on the hub today:

- `byte_level`: single digits, then GPT-2's splitting: SmolLM2;
- `byte_level_split`: a regular expression that splits, merges ignored for whole words: Llama 3.
"""

import io
from pathlib import Path

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from common import FIXTURES, HERE, record_versions, write_json, write_json_lines
from strings import STRINGS

TEXT = HERE / "training_text.txt"

CHATML = (
    "{% for message in messages %}"
    "{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}"
    "{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def special(content: str) -> AddedToken:
    return AddedToken(content, special=True, normalized=False)


def train_sentencepiece(folder: Path, vocab_size: int = 1000) -> None:
    """LLaMA's settings, read from the `trainer_spec` and `normalizer_spec` inside its tokenizer.model.

    There, pieces that are nothing but spaces have the score -1e9: they merge last, all with one rank, whatever their
    ids. A reader that takes ids for ranks gets indented text wrong, so ours has that too.
    """
    trained = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT.read_text(encoding="utf-8").splitlines()),
        model_writer=trained,
        model_type="bpe",
        vocab_size=vocab_size,
        character_coverage=0.99995,
        byte_fallback=True,
        split_digits=True,
        allow_whitespace_only_pieces=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=True,
        num_threads=1,
        minloglevel=2,
    )
    model = sentencepiece_model_pb2.ModelProto.FromString(trained.getvalue())
    for piece in model.pieces:
        if set(piece.piece) == {"▁"}:
            piece.score = -1e9
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.model").write_bytes(model.SerializeToString(deterministic=True))
    token = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    names = ["<unk>", "<s>", "</s>"]
    write_json(
        folder / "tokenizer_config.json",
        {
            "add_bos_token": True,
            "add_eos_token": False,
            "added_tokens_decoder": {str(i): {"content": n, **token, "special": True} for i, n in enumerate(names)},
            "bos_token": "<s>",
            "clean_up_tokenization_spaces": False,
            "eos_token": "</s>",
            "legacy": True,
            "model_max_length": 1000000000000000019884624838656,
            "pad_token": None,
            "sp_model_kwargs": {},
            "spaces_between_special_tokens": False,
            "tokenizer_class": "LlamaTokenizer",
            "unk_token": "<unk>",
            "use_default_system_prompt": False,
        },
    )
    write_json(
        folder / "special_tokens_map.json",
        {
            k: {"content": v, **token}
            for k, v in {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}.items()
        },
    )


def train_byte_level(folder: Path, vocab_size: int = 500) -> None:
    """SmolLM2's shape, with its ChatML template and its habit of adding no token at the start."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[special(name) for name in specials],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXT.read_text(encoding="utf-8").splitlines(keepends=True), trainer)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(
        folder / "tokenizer_config.json",
        {
            "add_prefix_space": False,
            "bos_token": "<|im_start|>",
            "chat_template": CHATML,
            "clean_up_tokenization_spaces": False,
            "eos_token": "<|im_end|>",
            "model_max_length": 512,
            "pad_token": "<|im_end|>",
            "tokenizer_class": "GPT2Tokenizer",
            "unk_token": "<|endoftext|>",
        },
    )


def train_byte_level_split(folder: Path, vocab_size: int = 600) -> None:
    """Llama 3's shape: special tokens come after the vocabulary, and a post-processor adds the first one."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(LLAMA3_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False
    )
    tokenizer.train_from_iterator(TEXT.read_text(encoding="utf-8").splitlines(keepends=True), trainer)
    names = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    tokenizer.add_special_tokens([special(name) for name in names])
    tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(
                single="<|begin_of_text|> $A",
                pair="<|begin_of_text|> $A <|begin_of_text|>:1 $B:1",
                special_tokens=[("<|begin_of_text|>", tokenizer.token_to_id("<|begin_of_text|>"))],
            ),
        ]
    )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(
        folder / "tokenizer_config.json",
        {
            "bos_token": "<|begin_of_text|>",
            "clean_up_tokenization_spaces": False,
            "eos_token": "<|eot_id|>",
            "model_max_length": 512,
            "tokenizer_class": "PreTrainedTokenizerFast",
        },
    )


def write_expected(folder: Path) -> None:
    """What the `tokenizers` library reads back from the file, not what we hold in memory."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    rows = []
    for text in STRINGS:
        ids = tokenizer.encode(text).ids
        rows.append(
            {
                "text": text,
                "ids": ids,
                "decoded": tokenizer.decode(ids, skip_special_tokens=False),
                "decoded_skip_special": tokenizer.decode(ids, skip_special_tokens=True),
            }
        )
    header = {"made_by": "tokenizers", "vocab_size": tokenizer.get_vocab_size()}
    write_json_lines(folder / "expected.json", "strings", header, rows)


def main() -> None:
    train_sentencepiece(FIXTURES / "sentencepiece")
    for name, train in {"byte_level": train_byte_level, "byte_level_split": train_byte_level_split}.items():
        train(FIXTURES / name)
        write_expected(FIXTURES / name)
    record_versions(Path(__file__).name, "sentencepiece", "protobuf", "tokenizers")


if __name__ == "__main__":
    main()
