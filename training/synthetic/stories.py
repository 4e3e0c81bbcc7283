"""Short stories on a wanted subject, put together from plots with many ways to say each sentence."""

import random
from collections.abc import Iterator
from typing import Any

from .spin import article, blocks, capital, exchange, favour, spin, typed
from .tables import GIRLS, NAMES

PLOTS = [lines for _, lines in blocks("stories.txt")]

HEROES = (
    "dragon|cat|dog|fox|rabbit|mouse|bear|wolf|lion|elephant|owl|frog|turtle|horse|pony|donkey|goat|sheep|duck|hen|bird|crow|"
    "penguin|whale|dolphin|fish|octopus|crab|bee|butterfly|ant|spider|snail|hedgehog|squirrel|monkey|tiger|giraffe|kangaroo|"
    "robot|unicorn|giant|dwarf|fairy|witch|wizard|ghost|mermaid|knight|king|queen|prince|princess|pirate|sailor|farmer|baker|"
    "fisherman|gardener|teacher|boy|girl|child|old man|old woman|shepherd|tailor|painter|clockmaker|cloud|star|snowman|tree|boat|train|"
    "kitten|puppy|monster|elf|astronaut|little girl|little boy|detective|musician|dinosaur|camel|parrot|seagull|sparrow|swan"
).split("|")
FEMALE = {"hen", "fairy", "witch", "mermaid", "queen", "princess", "girl", "old woman", "little girl", "bee"}
MALE = {"king", "prince", "knight", "boy", "old man", "little boy", "fisherman", "snowman", "wizard", "giant", "dwarf"}
ADJECTIVES = "little|young|brave|small|kind|lonely|clever|curious|shy|old|gentle|merry|poor|lazy|friendly|tiny|red|blue|grey|white".split("|")
PLACES = (
    "in a deep forest|by the sea|in a small village|on a farm|at the edge of the woods|in a little house on a hill|near a wide river|"
    "in a great castle|in a quiet valley|on a small island|in the mountains|in a big city|behind an old mill|in a sunny meadow|by a blue lake|"
    "far away in the north|in a land of snow|at the end of a long road|under an old oak tree|in a narrow street"
).split("|")
OPEN = (
    "{Once upon a time|Once|Long ago|Many years ago|A long time ago|One day long ago}{,|} there {lived|was} [a] [place].",
    "{Once upon a time|Once|Long ago}{,|} [a] lived [place].",
    "There {was once|once was|once lived} [a] who lived [place].",
    "{In a land far away|Far, far away}, [place], lived [a].",
    "[Place] {there lived|lived} [a].",
)
NAMED = " {[Pro] was called [name].|[Possessive] name was [name].|Everyone called [him] [name].}"
THEMES = {
    "friendship": [0, 5, 6], "courage": [1], "bravery": [1], "kindness": [2, 10, 3], "a wish": [2], "magic": [2, 8], "a race": [3],
    "patience": [4], "a garden": [4], "a seed": [4], "being lost": [5], "the forest": [5, 0], "a quarrel": [6], "sharing": [6, 10],
    "being different": [7], "a star": [8], "the night": [8, 1], "the moon": [8], "being small": [9], "winter": [10], "a gift": [10],
    "Christmas": [10], "a treasure": [0], "an adventure": [0, 11], "a journey": [0, 5], "music": [12], "a song": [12], "hope": [4, 12],
    "helping others": [9, 7, 3], "fear": [1], "love": [2, 10], "the sea": [0, 5], "animals": [5, 3, 9], "school": [7], "nature": [4],
}  # fmt: skip
ASK = (
    "{Tell me|Write|Can you tell me|Write me|Please tell me|Make up|I want to hear|Can you write|I'd like|Could you tell me|Tell|Give me} a "
    "{short |little |nice |very short |bedtime |funny |simple |sweet |||||}{story|story|story|tale|fairy tale} "
)


def pronouns(rng: random.Random, hero: str, name: str | None) -> dict[str, str]:
    female = name in GIRLS if name else hero in FEMALE or (hero not in MALE and rng.random() < 0.45)
    return dict(pro="she", him="her", his="her") if female else dict(pro="he", him="him", his="his")


def fitting(hero: str) -> list[str]:
    """Names for a hero."""
    return [n for n in NAMES if hero not in (MALE if n in GIRLS else FEMALE)]


def story(rng: random.Random, hero: str, friend: str | None, plot: int | None, short: bool, name: str | None = None) -> str:
    lines = PLOTS[rng.randrange(len(PLOTS)) if plot is None else plot]
    named = name or (rng.choice(fitting(hero)) if rng.random() < 0.5 else None)
    p = pronouns(rng, hero, named)
    described = f"{rng.choice(ADJECTIVES)} {hero}" if rng.random() < 0.6 and " " not in hero else hero
    other = friend or rng.choice([h for h in HEROES if h != hero])
    place = rng.choice(PLACES)
    opening = rng.choice(OPEN)
    if named:
        opening += NAMED
    slots = dict(
        open=opening, a=article(described), place=place, Place=capital(place), name=named, Pro=capital(p["pro"]),
        Possessive=capital(p["his"]), h=p["pro"], him=p["him"], his=p["his"], hero=named or f"the {hero}",
        H=named if named and rng.random() < 0.6 else f"The {hero}" if rng.random() < 0.5 else capital(p["pro"]),
        friend=f"the {other}", Friend=f"The {other}",
    )  # fmt: skip
    first = next(i for i, line in enumerate(lines) if "[friend]" in line or "[Friend]" in line)
    parts = []
    for i, line in enumerate(lines):
        if i == first and "the " + other not in " ".join(parts).lower():
            # the friend appears for the first time as "a fox", later as "the fox"
            for slot, shown in (("[friend]", article(other)), ("[Friend]", capital(article(other)))):
                if slot in line:
                    line = line.replace(slot, shown, 1) if line.find(slot) == min(
                        x for x in (line.find("[friend]"), line.find("[Friend]")) if x >= 0) else line  # fmt: skip
        slots["H"] = named if named and rng.random() < 0.4 else capital(p["pro"]) if i and rng.random() < 0.5 else f"The {hero}"
        parts.append(spin(rng, line, **slots))
    if short:
        parts = parts[:1] + [x for i, x in enumerate(parts[1:-1]) if i % 2 == 0 or "a " + other in x] + parts[-1:]
    paragraphs = [" ".join(parts[:2]), " ".join(parts[2:5]), " ".join(parts[5:])]
    return ("\n\n" if rng.random() < 0.6 else " ").join(x for x in paragraphs if x)


TITLE = "The {[adj] [hero]|[hero] and the [friend]|[hero] of the hills|[hero]'s {gift|wish|journey|secret}|story of the [hero]}"


def asked(rng: random.Random) -> dict[str, Any]:
    hero = favour(rng, HEROES)
    friend = rng.choice([h for h in HEROES if h != hero])
    kind = rng.random()
    plot, about, partner, name = None, "", None, None
    if kind < 0.5:
        about = "about " + rng.choice([article(hero), article(hero), article(f"{rng.choice(ADJECTIVES)} {hero}")])
    elif kind < 0.68:
        about, partner = f"about {article(hero)} and {article(friend)}", friend
    elif kind < 0.80:
        theme = rng.choice(list(THEMES))
        about, plot = f"about {theme}", rng.choice(THEMES[theme])
    elif kind < 0.87:
        name = rng.choice(fitting(hero))
        about = f"about {article(hero)} {rng.choice(['called', 'named'])} {name}"
    elif kind < 0.90:
        about = "for {children|kids|my daughter|my son|my little brother}"
    question = spin(rng, ASK + about).rstrip() + rng.choice([".", "", ".", "!", "?" if "you" in about else "."])
    text = story(rng, hero, partner, plot, "short" in question or rng.random() < 0.3, name)
    lead = rng.random()
    if lead < 0.08:
        text = spin(rng, "{Sure!|Of course!|Gladly!|Here is a story:|Here is a short story.} ") + "\n\n" + text
    elif lead < 0.16:
        text = capital(spin(rng, TITLE, adj=rng.choice(ADJECTIVES), hero=hero, friend=partner or "star")) + "\n\n" + text
    if rng.random() < 0.08:
        text += rng.choice(["\n\nThe end.", " The end."])
    turns = [typed(rng, question), text]
    if rng.random() < 0.12:
        hero2 = rng.choice(HEROES)
        turns += [rng.choice(["Another one, please.", "Tell me another story.", "One more!", f"Now one about {article(hero2)}."])]
        turns += [story(rng, hero2, None, None, True)]
    return exchange(*turns)


def continued(rng: random.Random) -> dict[str, Any]:
    """The user gives the first sentence."""
    whole = story(rng, rng.choice(HEROES), None, None, rng.random() < 0.5).replace("\n\n", " ")
    first, rest = whole.split(". ", 1)
    ask = rng.choice(["Continue this story: {}", "Continue: {}", "What happens next? {}", "Finish this story. {}", "Go on: {}", "Complete this text: {}"])
    return exchange(ask.format(first + "."), rest)


def generate(rng: random.Random, count: int) -> Iterator[dict[str, Any]]:
    for _ in range(count):
        yield asked(rng) if rng.random() < 0.93 else continued(rng)


def texts(rng: random.Random, count: int) -> Iterator[dict[str, Any]]:
    """The same stories as plain text."""
    for _ in range(count):
        yield {"text": story(rng, rng.choice(HEROES), None, None, rng.random() < 0.3), "source": "synthetic"}
