"""Function calls: many made-up functions, asked for in many ways, beside others that do not fit; and real dialogues.

Names, parameters, descriptions and the way the JSON is written all vary, since what must be learned is to read the list of
functions and to copy values from the question.
"""

import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import chat

from .spin import blocks, capital, favour, spin, typed
from .tables import CAPITALS, CITIES, LANGUAGES, NAMES, SURNAMES
from . import arithmetic, smalltalk
from .words import PLAIN_WORDS

UNITS = [("kilometres", "miles"), ("miles", "kilometres"), ("kilograms", "pounds"), ("pounds", "kilograms"), ("metres", "feet"),
         ("feet", "metres"), ("litres", "gallons"), ("inches", "centimetres"), ("celsius", "fahrenheit"), ("hours", "minutes"),
         ("grams", "ounces"), ("cups", "millilitres"), ("centimeters", "inches"), ("meters", "yards")]  # fmt: skip
MONEY = "dollars|euros|pounds|yen|francs|pesos|rupees|USD|EUR|GBP|JPY|CHF".split("|")
TASKS = "call {the dentist|my mother|Anna|the bank|grandma}|buy {milk|bread|flowers|a gift|stamps}|water the {plants|garden}|feed the {cat|dog|fish}|take the {cake out of the oven|medicine|trash out}|{pay|check} the {rent|bill}|write to {Tom|my boss|the school}|pick up the {children|parcel|keys}|close the {window|garage}|wash the {car|dishes}"
TOPICS = "old castles|the history of bread|solar panels|cheap hotels in Rome|wild horses|how to grow tomatoes|electric cars|space travel|jazz music|the moon|football results|healthy food|climate change|learning Spanish|good films|ancient Egypt|volcanoes|the stock market|dog training|new phones|garden birds|bicycle repair|robots|black holes|train tickets|hiking in Norway|modern art|whales|the Roman Empire|weather records|schools|energy prices|chess openings|the world cup|apple pie|[city]|tea from [country]|[name] [surname]|travel to [city]"
SONGS = "Yesterday|Blue Moon|Summer Rain|River of Dreams|Silent Night|Moonlight|Golden Days|Morning Song|Over the Hills|Dancing Queen|Hey Jude|Wonderwall|Let It Be|Hello|Thunder|Bohemian Rhapsody|Imagine|Clair de Lune|[Word] [Word]|The [Word] Song|My [Word]"
ARTISTS = "[name] [surname]|the [Word]s|The Beatles|Queen|Mozart|Adele|Bach|Oasis|[name] and the [Word]s|Chopin|ABBA|[name]"
ROOMS = "kitchen|living room|bedroom|bathroom|hall|garage|office|garden|cellar|dining room|children's room|attic".split("|")
PHRASES = "good morning|thank you|where is the station|I love you|how are you|the cat is black|see you tomorrow|I am hungry|good night|what is your name|a glass of water, please|happy birthday|I am from [city]|the {red|green|old} [lower]|my name is [name]"
NOTES = "I will be late|the meeting is at [clock]|happy birthday|see you on [day]|dinner is ready|please call me|I am at the [place]|buy [lower] and milk|the key is under the {mat|stone}|good luck|I miss you|we won|thanks for the [lower]|the code is [code]|come home soon|lunch on [day]?|the train leaves at [clock]"
ITEMS = "milk|bread|eggs|butter|cheese|apples|rice|coffee|tea|sugar|soap|paper|tomatoes|onions|salt|batteries|candles|[lower]".split("|")
EVENTS = "meeting|dentist appointment|birthday party|lunch with [name]|concert|exam|football match|dinner|yoga class|team meeting|visit to the museum|call with [name]|piano lesson"
RESTAURANTS = "Luigi's|the Blue Fox|Casa [name]|the Golden [Word]|Chez [name]|[name]'s Kitchen|the Old Mill|Sakura|the Green [Word]|Bella Vista"
CUISINES = "Italian|Chinese|Indian|Mexican|Thai|French|Greek|Japanese|Turkish|vegan|Korean|Spanish|Vietnamese".split("|")
COMPANIES = "Apple|Google|Tesla|Microsoft|Amazon|Nestle|Toyota|Siemens|Sony|Nvidia|Volvo|Samsung|[surname] Steel|[Word] Motors|IBM|Intel"
SIGHTS = "station|airport|library|museum|harbour|Eiffel Tower|hospital|market|cathedral|zoo|city hall|beach|[surname] Street|Central Park|old bridge|post office"
DISHES = "pizzas|burgers|tacos|soups|salads|sandwiches|coffees|noodles|pancakes|curries".split("|")
DISHES1 = "apple pie|lasagna|pancakes|tomato soup|fried rice|chicken curry|chocolate cake|vegetable stew|fish tacos|potato salad|pumpkin soup|[lower] soup|[lower] cake".split("|")
APPS = "calendar|camera|music player|browser|mail|maps|calculator|notes|clock|photos|settings|chess game".split("|")
SPORTS = "running|swimming|yoga|cycling|rowing|boxing|tennis|dancing|climbing|hiking|football".split("|")
AUTHORS = "Charles Dickens|Jane Austen|Mark Twain|Jules Verne|Agatha Christie|[name] [surname]|[name] [surname]|Leo Tolstoy|Mary Shelley|H. G. Wells"
DAYS = "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday|tomorrow|May 5|June 12|March 3|October 21|December 24|July 9|August 30|2026-04-17|2025-11-02".split("|")
REFUSALS = (
    "{I'm sorry|Sorry}, I {have no function for that|cannot do that with the functions I have|have no tool for that}.",
    "None of {the functions I have|my functions} can do that.",
    "I can't do that here. {I can only use the functions that I was given.|None of my functions fits.}",
)


def clock(rng: random.Random) -> str:
    hour = rng.randint(1, 12)
    return rng.choice([f"{hour} {rng.choice(['am', 'pm'])}", f"{hour}:{rng.choice(['00', '15', '30', '45'])} {rng.choice(['am', 'pm'])}",
                       f"{rng.randint(0, 23):02}:{rng.choice(['00', '10', '15', '20', '30', '45', '50'])}", f"{hour}{rng.choice(['am', 'pm'])}"])  # fmt: skip


def values(rng: random.Random) -> dict[str, str]:
    """One value for each slot that tools.txt names."""
    word = rng.choice(PLAIN_WORDS)
    unit1, unit2 = rng.choice(UNITS)
    money1, money2 = rng.sample(MONEY, 2)
    city, city2 = rng.sample(CITIES, 2)
    name, surname = rng.choice(NAMES), rng.choice(SURNAMES)
    expression, result = arithmetic.sums(rng)
    while not any(c.isdigit() for c in expression) or "sum" in expression:
        expression, result = arithmetic.sums(rng)
    v = dict(
        city=city, city2=city2, country=rng.choice(list(CAPITALS)).removeprefix("the "), name=name, surname=surname, full=f"{name} {surname}",
        lower=word, Word=capital(rng.choice(PLAIN_WORDS)), word=word, clock=clock(rng), day=rng.choice(DAYS), unit1=unit1, unit2=unit2,
        money1=money1, money2=money2, number=str(rng.choice([rng.randint(1, 20), rng.randint(1, 999), rng.randint(1, 50) * 10])),
        number2=str(rng.randint(2, 2000)), small=str(rng.choice([rng.randint(1, 60), 5, 10, 15, 20, 30])), few=str(rng.randint(2, 9)),
        warm=str(rng.randint(16, 26)), percent=str(rng.choice([rng.randint(0, 100), 10 * rng.randint(0, 10)])), dice=str(rng.choice([4, 6, 8, 10, 12, 20, 100])),
        onoff=rng.choice(["on", "off"]), room=rng.choice(ROOMS), sum=expression, sumresult=str(result), sky=rng.choice("sunny|cloudy|rainy|windy|snowy|clear|foggy".split("|")),
        code=rng.choice("ABCDEFGHKLMNPRSTX") + rng.choice("ABCDEFGHKLMNPRSTX") + str(rng.randint(100, 99999)), item=rng.choice(ITEMS), cuisine=rng.choice(CUISINES),
        dish=rng.choice(DISHES), dish1=rng.choice(DISHES1), app=rng.choice(APPS), sport=rng.choice(SPORTS), language=rng.choice(list(LANGUAGES.values())),
        email=f"{name.lower()}@{rng.choice(['example.com', 'mail.com', surname.lower() + '.org', 'post.net'])}",
    )  # fmt: skip
    for slot, pool in dict(task=TASKS, phrase=PHRASES, note=NOTES, topic=TOPICS, song=SONGS, artist=ARTISTS, event=EVENTS, restaurant=RESTAURANTS,
                           company=COMPANIES, sight=SIGHTS, author=AUTHORS).items():  # fmt: skip
        v[slot] = spin(rng, rng.choice(pool.split("|")) if "{" not in pool else rng.choice(split_outside(pool)), **v, place=rng.choice(SIGHTS.split("|")[:8]))
    for slot in ("item", "dish1"):
        v[slot] = spin(rng, v[slot], **v)
    v["Topic"] = capital(v["topic"])
    return v


def split_outside(text: str) -> list[str]:
    """Splits at the | that stand outside of braces."""
    parts, depth = [""], 0
    for c in text:
        depth += (c == "{") - (c == "}")
        if c == "|" and not depth:
            parts.append("")
        else:
            parts[-1] += c
    return parts


@dataclass
class Family:
    """One function in all its guises."""

    names: list[str]
    description: str
    parameters: list[tuple[list[str], str, str]]  # names, kind, description
    questions: list[str]
    result: str
    answer: str


def family(title: str, lines: list[str]) -> Family:
    names, description = title.split(" | ")
    parameters = []
    for part in lines[0].split(" | "):
        n, kind, d = part.split(" : ")
        parameters.append((n.strip().split("|"), kind.strip(), d))
    result, answer = next(line[2:] for line in lines if line.startswith("= ")).split(" => ")
    return Family(names.split(), description, parameters, [q[2:] for q in lines if q.startswith("? ")], result, answer)


FAMILIES = [family(title, lines) for title, lines in blocks("tools.txt")]


def dump(rng_style: int, tool: dict[str, Any]) -> str:
    """One tool as JSON text: as Python writes it, compact, or with sorted keys, as other programs do."""
    return json.dumps(tool, ensure_ascii=False, sort_keys=rng_style & 1 == 1, separators=(",", ":") if rng_style & 2 else None)


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))


@dataclass
class Guise:
    """A function as one conversation shows it."""

    family: Family
    schema: dict[str, Any]
    used: list[tuple[str, str]]  # parameter name, kind


def dress(rng: random.Random, f: Family) -> Guise:
    style = rng.choice([str, str, str, camel])
    name = style(rng.choice(f.names))
    properties, required, used = {}, [], []
    for names, kind, description in f.parameters:
        parameter = style(rng.choice(names))
        schema: dict[str, Any] = {"type": "number" if kind[0] == "#" and rng.random() < 0.4 else "integer" if kind[0] == "#" else "string"}
        if kind[0] == "?":
            if rng.random() < 0.5:
                continue
            schema["enum"] = kind[2:-1].split(",")
        elif kind == "[onoff]" and rng.random() < 0.6:
            schema["enum"] = ["on", "off"]
        if rng.random() < 0.75:
            schema["description"] = spin(rng, description)
        properties[parameter] = schema
        if kind[0] != "?":
            required.append(parameter)
            used.append((parameter, kind))
    parameters = {"type": "object", "properties": properties}
    if rng.random() < 0.8:
        parameters["required"] = required
    return Guise(f, {"name": name, "description": spin(rng, f.description), "parameters": parameters}, used)


def arguments(guise: Guise, v: dict[str, str]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for parameter, kind in guise.used:
        out[parameter] = int(v[kind[1:]]) if kind[0] == "#" else v[kind[1:-1]]
    return out


def finish(rng: random.Random, tools: list[dict[str, Any]], turns: list[tuple[str, str]]) -> dict[str, Any]:
    style = rng.choice([0, 0, 2, 3])
    messages = [{"role": role, "content": content} for role, content in turns]
    if rng.random() < 0.2:
        messages.insert(0, {"role": "system", "content": rng.choice(smalltalk.SYSTEMS)})
    return {"messages": messages, "tools": [dump(style, t) for t in tools], "source": "synthetic"}


def call_turns(rng: random.Random, guise: Guise, answered: bool) -> list[tuple[str, str]]:
    f, v = guise.family, values(rng)
    question = spin(rng, rng.choice(f.questions), **v)
    noisy = typed(rng, question)
    if noisy.lower() == noisy != question or len(noisy) < len(question) - 2:
        noisy = question  # values are copied letter by letter, so the question keeps them whole
    turns = [("user", capital(noisy)), ("assistant", chat.write_call(guise.schema["name"], arguments(guise, v)))]
    if answered:
        turns.append(("tool", fill(f.result, v)))
        turns.append(("assistant", capital(spin(rng, f.answer, **v))))
    return turns


def fill(template: str, v: dict[str, str]) -> str:
    for slot, value in v.items():
        template = template.replace(f"[{slot}]", value)
    return template


def conversation(rng: random.Random) -> dict[str, Any]:
    """Some functions, and one or two questions: for one of them, for none of them, or small talk."""
    families = rng.sample(FAMILIES, rng.choice([1, 1, 2, 2, 3, 3, 4, 5]))
    guises = [dress(rng, f) for f in families]
    tools = [g.schema for g in guises]
    turns: list[tuple[str, str]] = []
    while True:
        roll = rng.random()
        if roll < 0.78:
            turns += call_turns(rng, rng.choice(guises), rng.random() < 0.55)
        elif roll < 0.89:
            missing = dress(rng, rng.choice([f for f in FAMILIES if f not in families]))
            turns += [("user", call_turns(rng, missing, False)[0][1]), ("assistant", spin(rng, rng.choice(REFUSALS)))]
        else:
            question, answer = smalltalk.turn(rng, rng.choice([0, 0, 5, 6, 11, 13]))
            turns += [("user", question), ("assistant", answer)]
        if turns[-1][1].startswith(chat.CALL) or rng.random() < 0.75:
            return finish(rng, tools, turns)


def generate(rng: random.Random, count: int) -> Iterator[dict[str, Any]]:
    for _ in range(count):
        yield conversation(rng)


def easy(rng: random.Random, count: int) -> Iterator[dict[str, Any]]:
    """One or two of the common functions and one call: what a very small network can hope to learn."""
    for _ in range(count):
        families = [favour(rng, FAMILIES)]
        if rng.random() < 0.3:
            families.append(rng.choice([f for f in FAMILIES if f is not families[0]]))
        guises = [dress(rng, f) for f in families]
        turns = call_turns(rng, guises[0], rng.random() < 0.25)
        rng.shuffle(guises)
        yield finish(rng, [g.schema for g in guises], turns)


def from_dialogues(dialogues: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The task dialogues in this model's form. They say no types; every argument is a string there."""
    rng = random.Random(11)
    for dialogue in dialogues:
        tools = []
        for tool in dialogue["tools"]:
            given = tool["parameters"]
            properties = {k: {"type": "string"} | v for k, v in given.items() if k != "required"}
            tools.append({"name": tool["name"], "description": tool["description"],
                          "parameters": {"type": "object", "properties": properties, "required": given.get("required", [])}})  # fmt: skip
        messages = []
        for message in dialogue["messages"]:
            content = message["content"]
            if message["role"] == "assistant" and content.startswith('{"name"'):
                call = json.loads(content)
                content = chat.write_call(call["name"], call["arguments"])
            messages.append({"role": message["role"], "content": content})
        style = rng.choice([0, 0, 2, 3])
        yield {"messages": messages, "tools": [dump(style, t) for t in tools], "source": dialogue["source"]}
