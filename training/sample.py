"""Asks the engine, as a user would, and writes what it answers, unedited: chat, completions and function calls.

    cargo build --release
    python sample.py --model ../models/mobilellm-47m-chat --card ../models/mobilellm-47m-chat/README.md

The settings are those of generation_config.json, with which the page starts too. On the CPU a seed gives the same text on every machine.
Needs nothing but Python. Prints Markdown; --card puts it in place of the card's samples instead.
"""

import argparse
import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
HEADING = "## Samples\n"
ANSWER_TOKENS, COMPLETION_TOKENS = "400", "80"


def tool(name: str, description: str, **parameters: dict[str, str]) -> dict[str, Any]:
    """A function in OpenAI's form; every parameter is required."""
    schema = {"type": "object", "properties": parameters, "required": list(parameters)}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


STRING = {"type": "string"}
WEATHER = tool("get_weather", "Get the weather in a city", city=STRING | {"description": "The city"})
TIMER = tool("set_timer", "Start a timer", minutes={"type": "integer"})
SEARCH = tool("web_search", "Search the internet for a text", query=STRING)
BIRTHDAY = tool("save_birthday", "Remember the birthday of a person", person=STRING, date=STRING)
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


def settings(folder: Path) -> list[str]:
    """generation_config.json as the engine's flags."""
    recommended = json.loads((folder / "generation_config.json").read_text())
    flags = {"temperature": "--temperature", "top_p": "--top-p", "top_k": "--top-k"}
    return [part for name, flag in flags.items() for part in (flag, str(recommended[name]))]


def samples(generate: Callable[..., str]) -> Iterator[tuple[str, str, str]]:
    """Kind, question and answer; `generate` takes the flags of `mobilellm generate`."""
    for question in CHAT:
        yield "Chat", question, generate("--chat", question, "--max-tokens", ANSWER_TOKENS)
    for text in COMPLETIONS:
        yield "Completion", text, generate("--prompt", text, "--max-tokens", COMPLETION_TOKENS)
    for question, tools in CALLS:
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(tools, file)
            file.flush()
            text = generate("--chat", question, "--tools", file.name, "--max-tokens", ANSWER_TOKENS)
        names = ", ".join(tool["function"]["name"] for tool in tools)
        yield "Function calls (the offered functions in brackets)", f"{question} [{names}]", text


def markdown(found: Iterator[tuple[str, str, str]]) -> Iterator[str]:
    last = None
    for kind, question, text in found:
        if kind != last:
            yield f"### {kind}\n"
        last = kind
        yield f"**{question}**\n\n```text\n{text}\n```\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--engine", type=Path, default=ROOT / "target/release/mobilellm", help="the command line")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--card", type=Path, help="replace what follows the introduction of this file's samples")
    options = parser.parse_args()
    common = [options.engine, "generate", "--quiet", "--backend", "cpu", "--model", options.model, "--seed", options.seed]

    def generate(*flags: str) -> str:
        command = [*common, *settings(options.model), *flags]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.decode().removesuffix("\n")

    parts = markdown(samples(generate))
    if not options.card:
        for part in parts:
            print(part, flush=True)
        return
    before, heading, after = options.card.read_text(encoding="utf-8").partition(HEADING)
    introduction = after.partition("\n### ")[0]
    options.card.write_text(before + heading + introduction + "\n" + "\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
