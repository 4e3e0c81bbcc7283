"""How a conversation becomes text, and which parts of that text are learned in finetuning.

TEMPLATE ships inside tokenizer_config.json; `render` builds the same text in pieces, so that only what the
assistant says carries loss. A test keeps the two equal.
"""

import json
from typing import Any

START, END, STOP = "<|im_start|>", "<|im_end|>", "<|endoftext|>"
CALL, CALL_END = "<tool_call>", "</tool_call>"
RESPONSE, RESPONSE_END = "<tool_response>", "</tool_response>"

TOOLS_INTRO = "You can call these functions:\n<tools>\n"
TOOLS_OUTRO = (
    "\n</tools>\nTo call one, reply with\n"
    f'{CALL}\n{{"name": <name>, "arguments": <arguments>}}\n{CALL_END}'
)

TEMPLATE = (
    "{%- set system = messages[0].content if messages and messages[0].role == 'system' else '' %}"
    "{%- if tools or system %}"
    "{{- '<|im_start|>system\n' + system }}"
    "{%- if tools %}"
    "{{- ('\n\n' if system else '') + " + json.dumps(TOOLS_INTRO) + " }}"
    "{%- for tool in tools %}"
    "{%- set function = tool.function if tool.function is defined else tool %}"
    "{{- function | tojson }}{%- if not loop.last %}{{- '\n' }}{%- endif %}"
    "{%- endfor %}"
    "{{- " + json.dumps(TOOLS_OUTRO).replace("'", "\\'") + " }}"
    "{%- endif %}"
    "{{- '<|im_end|>\n' }}"
    "{%- endif %}"
    "{%- for message in messages %}"
    "{%- if message.role == 'tool' %}"
    "{{- '<|im_start|>user\n<tool_response>\n' + message.content + '\n</tool_response><|im_end|>\n' }}"
    "{%- elif message.role != 'system' %}"
    "{{- '<|im_start|>' + message.role + '\n' }}"
    "{%- if message.content %}{{- message.content }}{%- endif %}"
    "{%- if message.tool_calls is defined and message.tool_calls %}"
    "{%- for item in message.tool_calls %}"
    "{%- set call = item.function if item.function is defined else item %}"
    "{{- ('\n' if message.content or not loop.first else '') + '<tool_call>\n{\"name\": \"' + call.name + '\", \"arguments\": ' }}"
    "{%- if call.arguments is string %}{{- call.arguments }}{%- else %}{{- call.arguments | tojson }}{%- endif %}"
    "{{- '}\n</tool_call>' }}"
    "{%- endfor %}"
    "{%- endif %}"
    "{{- '<|im_end|>\n' }}"
    "{%- endif %}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
)

Piece = tuple[str, bool]
"""A stretch of text, and whether the finetuned model learns to write it."""


def write_call(name: str, arguments: dict[str, Any]) -> str:
    """A function call as the model writes it."""
    return f"{CALL}\n{json.dumps({'name': name, 'arguments': arguments}, ensure_ascii=False)}\n{CALL_END}"


def render(conversation: dict[str, Any]) -> list[Piece]:
    """The pieces of {"messages": [...], "tools": [JSON text, ...]}.

    Tools arrive as JSON text because programs differ in spacing and in the order of keys, and the training data shows
    both kinds (see tools.py).
    """
    messages = conversation["messages"]
    system = messages[0]["content"] if messages[0]["role"] == "system" else ""
    pieces: list[Piece] = []
    if tools := conversation.get("tools"):
        system += ("\n\n" if system else "") + TOOLS_INTRO + "\n".join(tools) + TOOLS_OUTRO
    if system:
        pieces.append((f"{START}system\n{system}{END}\n", False))
    for message in messages:
        role, content = message["role"], message["content"]
        if role == "tool":
            pieces.append((f"{START}user\n{RESPONSE}\n{content}\n{RESPONSE_END}{END}\n", False))
        elif role == "assistant":
            pieces += [(f"{START}assistant\n", False), (content + END, True), ("\n", False)]
        elif role == "user":
            pieces.append((f"{START}user\n{content}{END}\n", False))
    return pieces
