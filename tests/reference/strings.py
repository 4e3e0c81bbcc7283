"""The strings on which tokenizers are compared: everyday ones, and those that have broken tokenizers before."""

STRINGS: list[str] = ["", "Hello world", "  double", "tab\tnewline\n", "héllo 👩‍👩‍👧 é", "日本語", "<s>hi</s>"]
