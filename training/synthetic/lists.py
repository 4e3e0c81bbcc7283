"""Lists of a wanted length, and things done with lists: choosing, sorting, counting."""

import random
from collections.abc import Iterator
from typing import Any

from .spin import blocks, capital, exchange, favour, join, spin, typed
from .tables import NUMBERS

ASK = (
    "{Give me|Tell me|List|Name|Can you give me|Can you list|Suggest|Write down|I need|Please list|Can you name|What are|Show me|"
    "Think of|Come up with} [n] [what]{.||?}"
)
ASK_SOME = (
    "{Give me some|List some|Name a few|What are some|Can you suggest some|Tell me some|I need some|Suggest some|Do you know any|"
    "Give me a list of|Make a list of|Write a list of|I need} [what]{.||?}"
)
LEAD = "{Here {are|is a list of} [n] [what]:|Sure! Here are [n] [what]:|Here are [n]:|[N] [what]:|Of course! Here {are|you have} [n] [what]:|}"


def pools() -> list[tuple[list[str], list[str]]]:
    """(ways to name the pool, its items)."""
    found = []
    for title, lines in blocks("lists.txt"):
        names = title.split("|")[1].split(";")
        found.append(([n.strip() for n in names], [i.strip() for i in lines[0].split(";")]))
    return found


POOLS = pools()


def layout(rng: random.Random, items: list[str], what: str, lead_likely: float) -> str:
    style = rng.random()
    lead = spin(rng, LEAD, n=NUMBERS[len(items)], N=capital(NUMBERS[len(items)]), what=what) if rng.random() < lead_likely else ""
    if style < 0.6:
        lines = "\n".join(f"{i}. {capital(item)}" for i, item in enumerate(items, 1))
    elif style < 0.85:
        lines = "\n".join(f"- {capital(item)}" for item in items)
    else:
        return capital(join(items)) + ("" if items[-1][-1] in "?." else ".")
    return f"{lead}\n{lines}".strip()


def plain_list(rng: random.Random) -> dict[str, Any]:
    names, items = favour(rng, POOLS)
    what = favour(rng, names)
    if rng.random() < 0.7:
        n = min(rng.choice([2, 3, 3, 3, 4, 5, 5, 5, 6, 7]), len(items))
        asked = rng.choice([str(n), NUMBERS[n], NUMBERS[n]])
        question = spin(rng, ASK, n=asked, what=what)
    else:
        n = min(rng.randint(3, 6), len(items))
        question = spin(rng, ASK_SOME, what=what)
    return exchange(typed(rng, question), layout(rng, rng.sample(items, n), what, 0.7))


def list_then_more(rng: random.Random) -> dict[str, Any]:
    names, items = rng.choice([p for p in POOLS if len(p[1]) >= 9])
    what = rng.choice(names)
    chosen = rng.sample(items, 6)
    n = rng.choice([2, 3])
    return exchange(
        typed(rng, spin(rng, ASK, n=NUMBERS[n], what=what)), layout(rng, chosen[:n], what, 0.6),
        typed(rng, spin(rng, "{More, please.|Give me more.|Another [n]?|Some more, please.|Do you have more?|And [n] more?}", n=NUMBERS[n])),
        layout(rng, chosen[n : 2 * n], "more", 0.0),
    )  # fmt: skip


def one_of(rng: random.Random) -> dict[str, Any]:
    names, items = rng.choice(POOLS[:18])
    item = rng.choice(items)
    question = spin(rng, "{Give me one of|Suggest one of|Name one of|Pick one of} [what]{.|}", what=rng.choice(names)).replace("one of", "one idea:")
    return exchange(typed(rng, question), capital(item) + ".")


def choose(rng: random.Random) -> dict[str, Any]:
    """Which of these is a fruit? The odd one out."""
    (names, items), (other_names, others) = rng.sample(POOLS[12:45], 2)
    shared = set(items) & set(others)
    mine = [i for i in items if i not in shared]
    theirs = [i for i in others if i not in shared]
    if rng.random() < 0.5:
        right = rng.choice(mine)
        shown = rng.sample(theirs, 2) + [right]
        rng.shuffle(shown)
        return exchange(f"Which of these belongs to the {names[0]}: {join(shown, 'or')}?", f"{capital(right)}.")
    odd = rng.choice(theirs)
    shown = rng.sample(mine, 3) + [odd]
    rng.shuffle(shown)
    return exchange(f"Which word does not belong: {', '.join(shown)}?", f"{capital(odd)} does not belong. The others are {names[0]}.")


def arrange(rng: random.Random) -> dict[str, Any]:
    """Sorting, counting, reversing, first and last."""
    names, items = rng.choice([p for p in POOLS if all(" " not in i for i in p[1][:5])])
    words = rng.sample([i for i in items if " " not in i], min(rng.randint(3, 5), len([i for i in items if " " not in i])))
    text = ", ".join(words)
    task = rng.randrange(6)
    if task == 0:
        return exchange(spin(rng, "{Sort|Put|Arrange} these words {in alphabetical order|by the alphabet|from A to Z}: [t]", t=text).replace("Sort these words in", "Sort these words in"), ", ".join(sorted(words, key=str.lower)))
    if task == 1:
        return exchange(f"How many words are in this list: {text}?", f"There are {NUMBERS[len(words)]} words in the list.")
    if task == 2:
        return exchange(spin(rng, "{Reverse this list|Write this list backwards|Turn this list around}: [t]", t=text), ", ".join(words[::-1]))
    if task == 3:
        return exchange(spin(rng, "What is the {first|1st} word in this list: [t]?", t=text), capital(words[0]) + ".")
    if task == 4:
        return exchange(f"What is the last word in this list: {text}?", capital(words[-1]) + ".")
    return exchange(spin(rng, "{Write this as a list|Make a list of these|Turn this into a bullet list}: [t]", t=text), "\n".join(f"- {capital(w)}" for w in words))


def generate(rng: random.Random, count: int) -> Iterator[dict[str, Any]]:
    for kind in rng.choices([plain_list, list_then_more, one_of, choose, arrange], [70, 7, 5, 8, 10], k=count):
        yield kind(rng)
