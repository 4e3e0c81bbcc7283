"""Prints unedited answers: chat, completions and function calls, at the settings of generation_config.json.

    python sample.py --model build/model
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, LlamaForCausalLM

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string", "description": "The city"}}, "required": ["city"]},
    },
}
TIMER = {
    "type": "function",
    "function": {
        "name": "set_timer",
        "description": "Start a timer",
        "parameters": {"type": "object", "properties": {"minutes": {"type": "integer"}}, "required": ["minutes"]},
    },
}
SEARCH = {
    "type": "function",
    "function": {
        "name": "web_search",
        "description": "Search the internet for a text",
        "parameters": {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
    },
}
BIRTHDAY = {
    "type": "function",
    "function": {
        "name": "save_birthday",
        "description": "Remember the birthday of a person",
        "parameters": {
            "type": "object",
            "properties": {"person": {"type": "string"}, "date": {"type": "string"}},
            "required": ["person", "date"],
        },
    },
}
CHAT = (
    "Hello|Who are you?|What can you do?|What is the capital of France?|Tell me a story about a dragon|Write a poem about the sea|"
    "What is 7 + 5?|Explain gravity|Give me three ideas for dinner|Why is the sky blue?"
).split("|")
COMPLETIONS = (
    "Once upon a time|The capital of France is|It was a dark and stormy night, and|The old man looked out of the window and|"
    "Water is made of|In the morning, the children|\"Where are you going?\" asked|The history of Rome began|"
    "Scientists have discovered that|She opened the letter and read:"
).split("|")
CALLS = [
    ("What is the weather in Paris?", [WEATHER]),
    ("Is it raining in Lisbon today?", [WEATHER, TIMER]),
    ("Set a timer for 12 minutes", [WEATHER, TIMER]),
    ("please wake me in 45 minutes", [TIMER, SEARCH]),
    ("Search for old Roman coins", [SEARCH, WEATHER, TIMER]),
    ("Anna's birthday is on the 4th of May, please remember it", [BIRTHDAY, WEATHER]),
    ("Order a pizza", [WEATHER, TIMER]),
    ("Hello!", [WEATHER, TIMER]),
    ("How is the weather in New York and who are you?", [WEATHER]),
    ("What is the temperature in Reykjavik?", [WEATHER, SEARCH, TIMER, BIRTHDAY]),
]


def answer(model: LlamaForCausalLM, tokenizer: Any, text: str, greedy: bool, limit: int) -> str:
    ids = tokenizer(text, return_tensors="pt", add_special_tokens=False).input_ids.to(model.device)
    settings = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None} if greedy else {}
    out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=limit, **settings)
    return tokenizer.decode(out[0, ids.shape[1] :]).removesuffix("<|im_end|>").removesuffix("<|endoftext|>")


def samples(folder: Path, greedy: bool) -> dict[str, list[tuple[str, str]]]:
    torch.manual_seed(1)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = LlamaForCausalLM.from_pretrained(folder).to(device).eval()
    found: dict[str, list[tuple[str, str]]] = {"chat": [], "completion": [], "call": []}

    def ask(messages: list[dict[str, str]], tools: list[Any] | None) -> str:
        text = tokenizer.apply_chat_template(messages, tools=tools, add_generation_prompt=True, tokenize=False)
        return answer(model, tokenizer, text, greedy, 300)

    for question in CHAT:
        found["chat"].append((question, ask([{"role": "user", "content": question}], None)))
    for text in COMPLETIONS:
        found["completion"].append((text, answer(model, tokenizer, text, greedy, 80)))
    for question, tools in CALLS:
        shown = f"{question} [{', '.join(t['function']['name'] for t in tools)}]"
        found["call"].append((shown, ask([{"role": "user", "content": question}], tools)))
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("build/model"))
    parser.add_argument("--greedy", action="store_true")
    parser.add_argument("--json", type=Path, help="also write them here")
    options = parser.parse_args()
    found = samples(options.model, options.greedy)
    for kind, pairs in found.items():
        print(f"== {kind}")
        for question, text in pairs:
            print(f"> {question}\n{text}\n")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
