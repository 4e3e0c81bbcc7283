"""Renders conversations through chat templates exactly as `transformers` does, for engines that have no Python.

The templates are ours, in the styles that are met on the hub; between them they use what chat templates use of Jinja.
A case either has `rendered`, or `error`: the text given to `raise_exception`.
"""

from pathlib import Path
from typing import Any

import jinja2
from transformers.utils.chat_template_utils import render_jinja_template

from common import FIXTURES, record_versions, write_json

Message = dict[str, Any]

SPECIAL_TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}


def message(role: str, content: Any, **more: Any) -> Message:
    return {"role": role, "content": content, **more}


ONE_TURN = [message("user", "Who are you?")]
WITH_SYSTEM = [message("system", "You are terse."), message("user", "Hi!")]
TWO_TURNS = [
    message("system", "Answer in one word."),
    message("user", "What colour is the sky?"),
    message("assistant", "Blue."),
    message("user", "And grass?"),
]
AWKWARD = [
    message("user", "  spaces around \n\n"),
    message("assistant", ""),
    message("user", "{{ 7 * 7 }} {% if %} <b>&amp;</b> \"quotes\" 'single' \\n 猫 👩‍👩‍👧 </s>"),
]
ASSISTANT_FIRST = [message("assistant", "Hello."), message("user", "Hi.")]
THINKING = [
    message("user", "2+2?"),
    message("assistant", "<think>\neasy\n</think>\n\n4"),
    message("user", "Sure?"),
]
PARTS = [
    message("user", [{"type": "text", "text": "Look:"}, {"type": "image"}, {"type": "text", "text": " what is it?"}]),
    message("assistant", "A cat."),
]
CALL = {"type": "function", "function": {"name": "get_weather", "arguments": {"city": "Zürich", "days": 3}}}
TOOL_TURNS = [
    message("user", "Weather in Zürich?"),
    message("assistant", "", tool_calls=[CALL]),
    message("tool", '{"sky": "clear"}'),
    message("tool", '{"wind": 2.5}'),
    message("assistant", "Clear, with a light wind."),
]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": 'The weather <today> & tomorrow: it\'s "fine" ☀',
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string"},
                    "days": {"type": "integer", "minimum": 1, "default": 1},
                    "scale": {"type": "number", "default": 0.5, "enum": [1.0, -2, None, True, False]},
                    "none": {},
                    "empty": [],
                },
                "required": ["city"],
            },
        },
    }
]

TEMPLATES: dict[str, str] = {}
CASES: dict[str, list[list[Message]]] = {}


def template(name: str, source: str, *conversations: list[Message]) -> None:
    TEMPLATES[name] = source
    CASES[name] = list(conversations)


template(
    "chatml",
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    *(ONE_TURN, TWO_TURNS, AWKWARD, ASSISTANT_FIRST, []),
)

template(
    "chatml-default-system",
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    *(ONE_TURN, TWO_TURNS),
)

template(
    "inst",  # Llama 2: the system message inside the first instruction, everything stripped, strict turns
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
    "{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}"
    "{% set system_message = false %}{% endif %}{% for message in loop_messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if loop.index0 == 0 and system_message != false %}"
    "{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}"
    "{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}"
    "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}"
    "{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}",
    *(ONE_TURN, TWO_TURNS, AWKWARD, ASSISTANT_FIRST),
)

template(
    "headers",  # Llama 3: one line a block, trimmed on the left, and the first token joined to the first message
    "{% set loop_messages = messages %}{% for message in loop_messages %}"
    "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + "
    "'<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}",
    *(ONE_TURN, TWO_TURNS, AWKWARD),
)

template(
    "headers-with-date",  # Llama 3.2: variables that may be undefined, a function of the clock, tools in the prompt
    """{{- bos_token }}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("the day") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{#- The system message is taken out, so that it comes first. #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{{- "Today Date: " + date_string + "\\n\\n" }}
{%- if tools is not none %}
    {{- "Functions:\\n" }}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\\n\\n" }}
    {%- endfor %}
{%- endif %}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("One call at a time!") }}
        {%- endif %}
        {%- set tool_call = message.tool_calls[0].function %}
        {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}
        {{- '{"name": "' + tool_call.name + '", ' }}
        {{- '"parameters": ' }}
        {{- tool_call.arguments | tojson }}
        {{- "}" }}
        {{- "<|eot_id|>" }}
    {%- elif message.role == "tool" or message.role == "ipython" %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\\n\\n" }}
        {%- if message.content is mapping or message.content is iterable %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|eot_id|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
""",
    *(ONE_TURN, TWO_TURNS, TOOL_TURNS),
)

template(
    "chatml-tools",  # Qwen: neighbours of the loop, calls that may or may not be wrapped, tojson without HTML escapes
    """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}
        {{- messages[0].content + '\\n\\n' }}
    {%- endif %}
    {{- "# Tools\\n\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools><|im_end|>\\n" }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {{- '<|im_start|>' + message.role }}
        {%- if message.content %}
            {{- '\\n' + message.content }}
        {%- endif %}
        {%- for tool_call in message.tool_calls %}
            {%- if tool_call.function %}
                {%- set tool_call = tool_call.function %}
            {%- endif %}
            {{- '\\n<tool_call>\\n{"name": "' }}
            {{- tool_call.name }}
            {{- '", "arguments": ' }}
            {%- if tool_call.arguments is string %}
                {{- tool_call.arguments }}
            {%- else %}
                {{- tool_call.arguments | tojson }}
            {%- endif %}
            {{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if (loop.index0 == 0) or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}""",
    *(TWO_TURNS, TOOL_TURNS),
)

template(
    "thinking",  # Qwen 3: a loop backwards, a namespace, Python's string methods
    """{%- set ns = namespace(last_query=-1, seen=false) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if not ns.seen and message.role == "user" and message.content is string and not message.content.startswith('<tool') %}
        {%- set ns.seen = true %}
        {%- set ns.last_query = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content %}
    {%- set reasoning = '' %}
    {%- if '</think>' in content %}
        {%- set reasoning = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
        {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
    {%- endif %}
    {%- if loop.index0 > ns.last_query and reasoning %}
        {{- '<|im_start|>' ~ message.role ~ '\\n<think>\\n' ~ reasoning ~ '\\n</think>\\n\\n' ~ content ~ '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>' ~ message.role ~ '\\n' ~ content ~ '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{{- 'last query: ' ~ ns.last_query ~ ' of ' ~ messages | length }}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}""",
    *(THINKING, THINKING[:2], ONE_TURN),
)

template(
    "tags-and-lines",  # Zephyr: written over lines that trim_blocks and lstrip_blocks must make disappear
    """{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>\\n' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}
{{ '<|system|>\\n' + message['content'] + eos_token }}
{% elif message['role'] == 'assistant' %}
{{ '<|assistant|>\\n'  + message['content'] + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}
""",
    *(ONE_TURN, TWO_TURNS, AWKWARD),
)

template(
    "renamed-roles",  # Gemma: no system role, the assistant under another name
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for message in messages %}{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}"
    "{% set role = message['role'] %}{% endif %}"
    "{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}",
    *(ONE_TURN, AWKWARD, WITH_SYSTEM),
)

template(
    "headings",  # Alpaca: text alone, with indentation that lstrip_blocks takes away, and a line that keeps its own
    """{# A comment on a line of its own leaves nothing. #}
{% for message in messages %}
    {% if message.role == 'system' %}
{{ message.content }}

    {% elif message.role == 'user' %}
### Instruction:
{{ message.content }}

    {% else %}
### Response:
{{ message.content }}

    {% endif %}
{% endfor %}
{% if add_generation_prompt %}
### Response:
{% endif %}
  {%+ if messages | length > 1 %}indented{% endif %}

""",
    *(ONE_TURN, TWO_TURNS),
)

template(
    "parts",  # content that is a list of parts, a macro, a filter with a test, join
    """{%- macro text_of(content) -%}
    {%- if content is string -%}
        {{ content }}
    {%- else -%}
        {%- for part in content if part.type == 'text' -%}
            {{ part.text }}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro -%}
{%- for message in messages -%}
    {{ '[' ~ message.role | upper ~ '] ' ~ text_of(message.content) ~ '\\n' }}
{%- endfor -%}
{{ messages | map(attribute='role') | join(', ') }}{{ ' ' ~ (messages | selectattr('role', 'equalto', 'user') | list | length) }}
{{- '\\n[ASSISTANT] ' if add_generation_prompt else '' -}}""",
    *(PARTS, TWO_TURNS),
)

template(
    "loops",  # the loop variable, break and continue, a namespace that counts, a slice with a step
    """{%- set ns = namespace(users=0) -%}
{%- for message in messages -%}
    {%- if message.role == 'system' -%}{%- continue -%}{%- endif -%}
    {%- if message.role == 'user' -%}{%- set ns.users = ns.users + 1 -%}{%- endif -%}
    {{ loop.index }}/{{ loop.length }} {{ 'first ' if loop.first }}{{ 'last ' if loop.last }}{{ message.role }}
    {%- if loop.nextitem is defined %} before {{ loop.nextitem.role }}{% endif -%}
    {{ '\\n' }}
    {%- if ns.users == 2 -%}{%- break -%}{%- endif -%}
{%- endfor -%}
users {{ ns.users }}{% for message in messages[::2] %} {{ loop.revindex0 }}{{ message.role[0] }}{% else %} none{% endfor %}
{%- set last = messages[-1] if messages else none %} {{ last.role | default('nobody', true) | title if last is not none else '-' }}""",
    *(TWO_TURNS, AWKWARD, []),
)

template(
    "python-methods",  # of strings, dictionaries and slices, and values as JSON
    """{{ 1.0 }} {{ 7 // 2 }} {{ 7 / 2 }} {{ 7 % 3 }} {{ [1, 'a'] | length }}
{% for key, value in messages[0].items() %}{{ key }}={{ value }};{% endfor %}
{{ messages[0].get('name', 'anonymous') }} {{ messages[0]['missing'] }}|{{ undefined_variable }}|
{{ messages[0].content.upper().replace('WHO', 'what').strip('?') }} {{ 'a,b,c'.split(',') | join('+') }} {{ 'x'.join(['1', '2']) }}
{{ 'yes' if messages[0].content.endswith('?') else 'no' }} {{ 'Title case'.title() }} {{ '  left'.lstrip() }}.{{ 'right  '.rstrip() }}.
{{ 'abc'[1:] }} {{ 'abc'[-1] }} {{ 'abc' | first }} {{ 1 if 'ab' in 'cab' }} {{ 2 if 'b' not in ['a'] }}
{{ [1, 2.5, 'é"<', none, true, {'k': [], 'a': {}}] | tojson }}""",
    *(ONE_TURN,),
)

template(
    "generation-tag",  # a tag of transformers' own, around what a trainer should learn; it prints its body
    """{% for message in messages %}
{% if message.role == 'assistant' %}
<|assistant|>{% generation %}{{ message.content }}{{ eos_token }}{% endgeneration %}

{% else %}
<|{{ message.role }}|>{{ message.content }}
{% endif %}
{% endfor %}
{% if add_generation_prompt %}<|assistant|>{% endif %}""",
    *(ONE_TURN, TWO_TURNS),
)


def render(name: str, messages: list[Message], tools: list[Any] | None, add_generation_prompt: bool) -> dict[str, str]:
    try:
        rendered = render_jinja_template(
            conversations=[messages],
            tools=tools,
            chat_template=TEMPLATES[name],
            add_generation_prompt=add_generation_prompt,
            **SPECIAL_TOKENS,
        )[0]
    except jinja2.exceptions.TemplateError as error:
        return {"error": str(error)}
    return {"rendered": rendered[0]}


def cases(name: str) -> list[dict[str, Any]]:
    """Each conversation with the generation prompt and without, and with tools where the template knows them."""
    tool_choices = [None, TOOLS] if "tools" in TEMPLATES[name] else [None]
    return [
        {"messages": messages, "tools": tools, "add_generation_prompt": prompt} | render(name, messages, tools, prompt)
        for messages in CASES[name]
        for tools in tool_choices
        for prompt in (False, True)
    ]


def main() -> None:
    templates = [{"name": name, "template": source, "cases": cases(name)} for name, source in TEMPLATES.items()]
    write_json(FIXTURES / "chat_templates.json", SPECIAL_TOKENS | {"templates": templates})
    record_versions(Path(__file__).name, "transformers", "jinja2")


if __name__ == "__main__":
    main()
