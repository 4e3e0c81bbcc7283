"""Writes fixtures/template_language.json: what Jinja in Python makes of each expression, in the environment of transformers.

Needs jinja2 and transformers (requirements.txt). usage: python make_template_language.py"""

import json
from pathlib import Path

from transformers.utils import chat_template_utils

MESSAGES = [
    {"role": "system", "content": "Be <brief> & kind."},
    {"role": "user", "content": "Was it 3 \u00e4pfel?\nYes\r\n"},
    {"role": "assistant", "content": None},
    {"role": "user", "content": [{"type": "text", "text": "\u00df\u0130\u01c6"}]},
]
EXPRESSIONS = """
7 // -2 ~ -7 % 2 ~ 2 ** 3 ** 2 ~ -2 ** 2
1 < 2 == 2 and not 3 in [1, 2]
1 if 0 else 2 if 0 else 3
'a' 'b' ~ 'c' * 2 + 'd'
[1.5, 1e22, 1e-7, 12345678901234567890.0, -0.0]
170141183460469231731687303715884105727
(1, 'two', [none, {'k': (2,)}])
{'a': 1}['a'] ~ {'a': {'b': 2}}.a.b ~ [5][0] ~ 'xyz'[1] ~ [1, 2].0
[0, 1, 2, 3, 4, 5][4:0:-2] ~ 'h\u00e9llo'[-3:] ~ range(10)[2:8:3]
'%08.3f|%-6s|%+d|%#x|%5.1e|%c|%%' % (3.14159, 'ab', 7, 255, 12345.678, 'z')
'%s %r %a' % ('\u00e9', '\u00e9', '\u00e9')
'{:>8}|{:^8}|{:<8}|{:*^9}|{:+.2f}|{:,}|{:#x}|{:%}|{!r:>6}'.format('r', 'c', 'l', 'm', 2.5, 1234567, 255, 0.25, 'q')
'{0[k]}{0[k]}{name}{{}}'.format({'k': 1}, name='n')
'The quick-brown FOX'.title() ~ 'it\\'s'.capitalize() ~ 'aB\u00df'.swapcase()
'a,b,,c'.split(',', 2) ~ ' a b  c '.rsplit(none, 1) ~ 'a--b--c'.rpartition('--')
'abcabc'.replace('b', 'X', 1) ~ 'abc'.zfill(5) ~ '-4'.zfill(4) ~ 'x'.center(4, '.') ~ 'xy'.center(5, '.')
'abc'.find('c') ~ 'abc'.find('z') ~ 'abcabc'.count('bc') ~ 'aaa'.rindex('a')
'  \\t x \\u3000'.strip() ~ 'xxabxx'.strip('x') ~ 'prefix'.removeprefix('pre')
'a\\nb\\r\\nc\\u2028d'.splitlines() ~ 'a\\tb'.expandtabs(3)
'1\u00b2\u2167'.isdigit() ~ '12'.isdecimal() ~ 'Ab'.istitle() ~ 'a_1'.isidentifier() ~ '\u00e9'.isalpha()
messages[0].items() | list
messages[1].content.split()
messages[3].content[0].text.upper() ~ messages[3].content[0].text.lower() | length
messages | map(attribute='role') | unique | join('/')
messages | selectattr('content', 'string') | map(attribute='content') | map('length') | list
messages | rejectattr('content') | list | length
messages | groupby('role') | map(attribute='grouper') | list
messages | groupby('role') | map('last') | map('length') | list
[3, 1, 2] | sort(reverse=true) ~ ['b', 'A', 'a'] | sort ~ [{'a': {'b': 2}}, {'a': {'b': 1}}] | sort(attribute='a.b')
{'b': 1, 'A': 2} | dictsort ~ {'b': 1, 'A': 2} | dictsort(by='value', reverse=true)
[1, 2, 3, 4, 5, 6, 7] | batch(3, 0) | list ~ [1, 2, 3, 4, 5, 6, 7] | slice(3) | list
'one two three four five' | wordwrap(9) ~ 'hyphen-ated words-here' | wordwrap(10)
'abcdefghij klmnop qrst' | truncate(12) ~ 'abcdefghij klmnop' | truncate(8, true, '..', 0)
'a\\n\\nb' | indent(2, true, true) ~ 'a\\nb' | indent('--')
'<a href="x">\\'&\\'</a>' | e ~ ('<' | e) + '<' ~ ('<' | safe ~ '>')
'<p>one <b>two</b>\\n three</p>' | striptags
{'a': [1, 2.50, none, 'q"\u00e9\\u007f'], 'b': {}} | tojson
{'b': 1, 'a': [1, {'c': []}]} | tojson(indent=2, sort_keys=true)
'\u00e9\U0001f600\\u007f' | tojson(ensure_ascii=true)
['12', ' -7 ', '0x1F', '1_000', '3.9', 'no'] | map('int') | list
['1e3', 'inf', '-.5', 'no'] | map('float') | list
2.675 | round(2) ~ -2.5 | round ~ 1250 | round(-2) ~ 2.1 | round(0, 'ceil')
[1, 2.5] | sum ~ [[1], [2]] | sum(start=[]) ~ ['b', 'A'] | max ~ [] | max
999 | filesizeformat ~ 1536 | filesizeformat(true) ~ 12345678 | filesizeformat
'a b/\u00e9?' | urlencode ~ {'a b': '\u00e9&'} | urlencode
none is none and 1 is odd and 'x' is in 'xyz' and [] is sequence and {} is mapping and 3 is divisibleby 3
missing is undefined and missing | default('d') == 'd' and (none | default('d')) is none
'x' is not none ~ (2 is sameas 2) ~ (1 is true) ~ ('A' is upper) ~ (1.0 is float) ~ (true is number)
[missing, missing.__class__] | length
dict([('a', 1)], b=2) ~ dict.fromkeys('ab', 0)
namespace(a=1) is mapping ~ range(3) ~ range(0, 9, 4) | list
missing.attribute
none.attribute.again
[].append(1)
{}.update({'a': 1})
'a' + 1
1 / 0
[1, 2] | length(3)
'a' | nothing
'a'.nothing()
'%d' % 'a'
'{} {}'.format(1)
{[]: 1}
range(200000) | list
'x'.join([1])
lipsum is defined
"""
TEMPLATES = [
    "{% for m in messages %}{{ loop.index }}/{{ loop.length }}{{ '!' if loop.last else ',' }}{{ loop.cycle('a', 'b') }}{{ loop.changed(m.role) }} {% endfor %}",
    "{% for a in [1, 2, 3, 4] if a != 2 %}{% if a == 4 %}{% break %}{% endif %}{{ loop.index }}:{{ a }} {% else %}none{% endfor %}",
    "{% for x in [[1, [2]], 3] recursive %}{{ loop.depth }}{% if x is iterable %}<{{ loop(x) }}>{% else %}{{ x }}{% endif %}{% endfor %}",
    "{% macro tag(name, text='', sep=':') %}{{ name }}{{ sep }}{{ text }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ tag('a') }}|{{ tag('a', 'b', ';', 1, k=2) }}",
    "{% macro wrap(n) %}{% for i in range(n) %}[{{ caller(i) }}]{% endfor %}{% endmacro %}{% call(i) wrap(2) %}i={{ i }}{% endcall %}",
    "{% set ns = namespace(n=0) %}{% set n = 0 %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% set n = n + 1 %}{% endfor %}{{ ns.n }}{{ n }}",
    "{% set text %}  <{{ messages[0].role }}>  {% endset %}{{ text | trim }}{{ text is string }}{% set up | upper %}abc{% endset %}{{ up }}",
    "{% with a = 1, b = a %}{{ a }}{{ b is defined }}{% endwith %}{{ a is defined }}",
    "{% filter upper | replace('A', '4') %}a{{ messages[0].role }}{% endfilter %}",
    "{% autoescape true %}{{ '<' ~ messages[0].content }}{{ '<b>' | safe }}{% endautoescape %}{{ '<' }}",
    "a\r\n  {% if true %}\r\nb\r\n  {%- endif %}\r\n  {{ 'c\r\nd' }}\r\n{# e\r\n #}\r\nf\r\n\r\n",
    "  {%+ if true %} x{% endif +%}\n  {% if true -%}\n  y\n  {%- endif %}\n{% raw %}{{ z }}{%- endraw %}\n",
    "{% for m in messages %}{% generation %}\n{% set x = m.role %}{{ x }}{% endgeneration %}\n{{ x is defined }};{% endfor %}",
    "{% set c = cycler(1, 2) %}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{% set j = joiner('+') %}{{ j() }}a{{ j() }}b",
    "{% if messages[0].role != 'user' %}{{ raise_exception('not a ' ~ messages[0].role) }}{% endif %}",
    "{{ 'a' }}{% set x, (y, z) = 1, (2, 3) %}{{ x + y + z }}{% print x, y %}",
    "{% block b %}{{ messages | length }}{% endblock b %}",
    "{% include 'other' %}",
    "{% if false %}{% include 'other' %}{{ 1 | nothing }}{% endif %}fine",
    "<|start|>{{ '}}' }}{{ {'a': {'b': 1}} }}{# {{ #}%}",
    "{% do messages %}",
    "{{ messages",
]


def main():
    cases = []
    for template in ["{{ " + line + " }}" for line in EXPRESSIONS.strip().split("\n")] + TEMPLATES:
        case = {"template": template}
        try:
            rendered, _ = chat_template_utils.render_jinja_template(
                [json.loads(json.dumps(MESSAGES))], chat_template=template, add_generation_prompt=True
            )
            case["text"] = rendered[0]
        except Exception as error:
            case["error"] = type(error).__name__
        cases.append(case)
    path = Path(__file__).parent / "fixtures" / "template_language.json"
    path.write_text(json.dumps({"messages": MESSAGES, "cases": cases}, indent=1) + "\n")


if __name__ == "__main__":
    main()
