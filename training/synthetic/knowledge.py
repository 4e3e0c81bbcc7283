"""Simple facts and short explanations, as questions with answers and as plain prose."""

import random
import re
from collections.abc import Iterator
from typing import Any

from .spin import article, blocks, capital, exchange, favour, join, spin, typed
from .tables import ANIMALS, CAPITALS, COLOURS, CONTINENTS, FACTS, LANGUAGES, MIXES, NUMBERS, OPPOSITES, PLANETS, ORDINALS

EXPLANATIONS = blocks("explanations.txt")

ASK_NOUN = (
    "{What is [t]|What's [t]|Explain [t]|Can you explain [t]|Tell me about [t]|What do you know about [t]|Describe [t]|Explain [t] to me|"
    "Please explain [t]|Could you explain [t]|Tell me what [t] is|I want to learn about [t]|Explain [t] in simple words|"
    "Explain [t] to a child|Can you tell me about [t]|Explain what [t] is|Give me a short explanation of [t]}{?|.|}"
)
ASK_PLURAL = (
    "{What are [t]|Tell me about [t]|What do you know about [t]|Describe [t]|Explain [t]|Can you tell me something about [t]|"
    "What can you tell me about [t]|Tell me something about [t]|Write a few sentences about [t]|Tell me what [t] are}{?|.|}"
)
ASK_CLAUSE = "{Explain|Can you explain|Please explain|Tell me|Can you tell me|Do you know|I want to know|Could you explain} [t]{?|.|}"
ASK_SHORT = "{Explain [t] in one sentence.|Explain [t] briefly.|In one sentence, what is [t]?|What is [t]? Answer in one sentence.|What is [t], in short?}"
PLURAL = {"tides", "germs", "dinosaurs", "cats", "dogs", "elephants", "whales", "spiders", "butterflies", "bees", "penguins", "lions",
          "trees", "flowers", "clouds", "the seasons", "the lungs", "the olympic games", "day and night", "thunder and lightning"}  # fmt: skip
VERBS = {"the sky is": "is the sky", "leaves are": "are leaves", "leaves change": "do leaves change", "the sea is": "is the sea",
         "we sleep": "do we sleep", "we dream": "do we dream", "we yawn": "do we yawn", "we need": "do we need",
         "exercise is": "is exercise", "birds fly": "do birds fly", "fish breathe": "do fish breathe", "planes fly": "do planes fly",
         "boats float": "do boats float", "bees make": "do bees make", "bread is": "is bread", "cheese is": "is cheese",
         "paper is": "is paper", "glass is": "is glass"}  # fmt: skip


def sentences(text: str) -> list[str]:
    return re.split(r"(?<=[.!?]) (?=[A-Z])", text)


def direct(clause: str) -> str:
    """"why the sky is blue" -> "Why is the sky blue?"."""
    if clause.startswith("how to "):
        return f"How do I {clause[7:]}?"
    for told, asked in VERBS.items():
        if told in clause:
            return capital(clause.replace(told, asked)) + "?"
    return capital(clause) + "?"


def explanation(rng: random.Random) -> dict[str, Any]:
    topic, answers = favour(rng, EXPLANATIONS)
    parts = sentences(rng.choice(answers))
    clause = topic.startswith(("why ", "how "))
    if not clause and topic not in PLURAL and rng.random() < 0.12:
        return exchange(typed(rng, spin(rng, ASK_SHORT, t=topic)), parts[0])
    if clause:
        question = direct(topic) if rng.random() < 0.6 else spin(rng, ASK_CLAUSE, t=topic)
        if topic.startswith("how to ") and rng.random() < 0.3:
            question = spin(rng, "{How can I [t]?|Help me [t].|What is the best way to [t]?|Teach me how to [t].|Give me tips on how to [t].}", t=topic[7:])
    else:
        bare = topic.removeprefix("a ").removeprefix("an ")
        name = topic if rng.random() < 0.8 else bare
        question = spin(rng, ASK_PLURAL if topic in PLURAL else ASK_NOUN, t=name)
    keep = len(parts) if clause and topic.startswith("how to") else rng.choice([len(parts)] * 3 + [max(2, len(parts) - 1)])
    if topic.startswith("how to ") and rng.random() < 0.4:
        return exchange(typed(rng, question), "\n".join(f"{i}. {p}" for i, p in enumerate(parts, 1)))
    return exchange(typed(rng, question), " ".join(parts[:keep]))


def explanation_then_short(rng: random.Random) -> dict[str, Any]:
    topic, answers = rng.choice([e for e in EXPLANATIONS if not e[0].startswith(("why ", "how "))])
    parts = sentences(rng.choice(answers))
    return exchange(
        typed(rng, spin(rng, ASK_PLURAL if topic in PLURAL else ASK_NOUN, t=topic)), " ".join(parts),
        rng.choice(["Shorter, please.", "Make it shorter.", "In one sentence?", "Can you say that in one sentence?", "Too long."]), parts[0],
    )  # fmt: skip


def capital_city(rng: random.Random) -> dict[str, Any]:
    country, city = favour(rng, list(CAPITALS.items()))
    kind = rng.random()
    if kind < 0.7:
        ask = "{What is the capital of [c]|What's the capital of [c]|Capital of [c]|Tell me the capital of [c]|Which city is the capital of [c]|Name the capital of [c]|Do you know the capital of [c]|What is the capital city of [c]}{?|.|}"
        answer = "{The capital of [c] is [k].|The capital of [c] is [k].|[k].|[k] is the capital of [c].}"
    elif kind < 0.85:
        ask, answer = "{Which country has the capital [k]?|[k] is the capital of which country?|Of which country is [k] the capital?}", "[k] is the capital of [c]."
    else:
        ask, answer = "{Where is [k]?|In which country is [k]?|Where is the city of [k]?}", "[k] is in [c]."
    question = typed(rng, spin(rng, ask, c=country, k=city))
    turns = [question, spin(rng, answer, c=country, k=city)]
    if kind < 0.7 and rng.random() < 0.15:
        other, other_city = rng.choice(list(CAPITALS.items()))
        turns += [rng.choice([f"And of {other}?", f"What about {other}?", f"And {other}?"]), f"The capital of {other} is {other_city}."]
    return exchange(*turns)


def fact(rng: random.Random) -> dict[str, Any]:
    question, answer = rng.choice(FACTS).split("|")
    if question.startswith(("What is", "Who", "Where", "When", "How many")) and rng.random() < 0.2:
        question = spin(rng, "{Can you tell me|Do you know|Tell me|I have a question:|Quick question:} ") + " " + question[0].lower() + question[1:]
    return exchange(typed(rng, question), answer)


def table_fact(rng: random.Random) -> dict[str, Any]:
    kind = rng.randrange(9)
    name, (family, home, food, does, legs, young) = rng.choice(list(ANIMALS.items()))
    a = article(name)
    if kind == 0:
        return exchange(*(spin(rng, t, a=a, A=capital(a), n=name, x=home) for t in ("{Where does [a] live?|Where do you find [a]?|Where do [n]s live?}", "[A] lives [x].")))
    if kind == 1:
        return exchange(*(spin(rng, t, a=a, A=capital(a), x=food) for t in ("{What does [a] eat?|What is the food of [a]?}", "[A] eats [x].")))
    if kind == 2:
        return exchange(f"How many legs does {a} have?", f"{capital(a)} has {NUMBERS[legs] if legs else 'no'} legs.")
    if kind == 3:
        return exchange(spin(rng, "{What is a baby [n] called?|What do you call a young [n]?|What is the young of [a] called?}", n=name, a=a), f"A young {name} is called {article(young)}.")
    if kind == 4:
        other = rng.choice(["mammal", "bird", "fish", "insect", "reptile"])
        if rng.random() < 0.5:
            return exchange(f"What kind of animal is {a}?", f"{capital(a)} is {article(family)}.")
        return exchange(f"Is {a} {article(other)}?", f"Yes, {a} is {article(family)}." if other == family else f"No, {a} is {article(family)}.")
    if kind == 5:
        thing, colour = rng.choice(list(COLOURS.items()))
        return exchange(typed(rng, spin(rng, "{What colour is [t]?|What color is [t]?|Which colour does [t] have?}", t=thing)), rng.choice([f"{capital(thing)} is {colour}.", f"{capital(colour)}."]))
    if kind == 6:
        (one, two), mixed = rng.choice(list(MIXES.items()))
        return exchange(typed(rng, f"What do you get if you mix {one} and {two}?"), f"If you mix {one} and {two}, you get {mixed}.")
    if kind == 7:
        country, language = rng.choice(list(LANGUAGES.items()))
        return exchange(typed(rng, spin(rng, "{Which language do people speak in [c]?|What language is spoken in [c]?|What do people speak in [c]?}", c=country)), f"People in {country} speak {language}.")
    continent, countries = rng.choice(list(CONTINENTS.items()))
    country = rng.choice(countries.split())
    return exchange(typed(rng, spin(rng, "{On which continent is [c]?|Which continent is [c] on?|Where is [c]?|Where does [c] lie?}", c=country)), f"{country} is in {continent}.")


def describe_animal(rng: random.Random) -> dict[str, Any]:
    name, (family, home, food, does, legs, young) = rng.choice(list(ANIMALS.items()))
    a = article(name)
    question = spin(rng, "{Tell me about [a].|What is [a]?|Describe [a].|Write a few sentences about [a].|What do you know about [a]?|Tell me something about the [n].}", a=a, n=name)
    text = f"{capital(a)} is {article(family)}. It lives {home} and eats {food}. It {does}. " + (f"It has {NUMBERS[legs]} legs. " if legs else "It has no legs. ") + f"A young {name} is called {article(young)}."
    return exchange(typed(rng, question), text)


def planets(rng: random.Random) -> dict[str, Any]:
    i = rng.randrange(8)
    kind = rng.random()
    if kind < 0.4:
        return exchange(typed(rng, f"What is the {ORDINALS[i]} planet from the Sun?"), f"The {ORDINALS[i]} planet from the Sun is {PLANETS[i]}.")
    if kind < 0.7:
        return exchange(typed(rng, rng.choice(["What are the planets?", "Name the planets.", "List the planets of the solar system.", "Which planets are there?"])), f"The planets are {join(PLANETS)}.")
    return exchange(typed(rng, f"Is {PLANETS[i]} a planet?"), f"Yes, {PLANETS[i]} is the {ORDINALS[i]} planet from the Sun.")


def generate(rng: random.Random, count: int) -> Iterator[dict[str, Any]]:
    kinds = [explanation, explanation_then_short, capital_city, fact, table_fact, describe_animal, planets]
    for kind in rng.choices(kinds, [40, 3, 16, 18, 15, 5, 3], k=count):
        yield kind(rng)


def texts(rng: random.Random, count: int) -> Iterator[dict[str, Any]]:
    """The same knowledge as prose, several facts to a text, so that it can be completed as well as asked for."""
    for _ in range(count):
        kind = rng.random()
        if kind < 0.35:
            parts = [rng.choice(answers) for _, answers in rng.sample(EXPLANATIONS, rng.randint(1, 4))]
            text = "\n\n".join(parts)
        elif kind < 0.6:
            chosen = [favour(rng, list(CAPITALS.items())) for _ in range(rng.randint(3, 6))]
            forms = "{The capital of [c] is [k].|[K] is the capital of [c].|[k] is the capital city of [c].|The capital city of [c] is called [k].}"
            text = " ".join(spin(rng, forms, c=c, k=k, K=k) for c, k in chosen)
        elif kind < 0.8:
            text = " ".join(line.split("|")[1] for line in rng.sample(FACTS, rng.randint(4, 8)))
        elif kind < 0.9:
            text = "\n\n".join(describe_animal(rng)["messages"][1]["content"] for _ in range(rng.randint(1, 3)))
        else:
            opposites = [f"The opposite of {a} is {b}." for a, b in rng.sample(list(OPPOSITES.items()), 4)]
            colours = [f"{capital(t)} is {c}." for t, c in rng.sample(list(COLOURS.items()), 3)]
            text = " ".join(rng.sample(opposites + colours, 7))
        yield {"text": text, "source": "synthetic"}
