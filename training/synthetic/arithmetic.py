"""Small sums, counting, comparing and tiny word problems."""

import random
from collections.abc import Iterator
from typing import Any

from .spin import exchange, spin, typed
from .tables import DAYS, MONTHS, NAMES, NUMBERS, ORDINALS, SHAPES, TENS

ASK = "{What is|What's|How much is|Calculate|Compute|Can you calculate|What do you get for|Solve|Work out|Tell me|} [sum]{?|?|}"
THINGS = "apples pears books coins marbles cookies pencils stamps shells eggs flowers cards balls sweets stickers oranges".split()


def in_words(n: int) -> str:
    if n <= 20:
        return NUMBERS[n]
    tens, ones = divmod(n, 10)
    return TENS[tens - 2] + (f"-{NUMBERS[ones]}" if ones else "")


def number(rng: random.Random) -> int:
    """Mostly one or two digits."""
    return rng.randint(0, rng.choice([10, 10, 12, 20, 50, 100]))


def sums(rng: random.Random) -> tuple[str, int]:
    kind = rng.random()
    if kind < 0.45:
        a, b = number(rng), number(rng)
        signs, result = ["+", "+", "plus", "and"], a + b
    elif kind < 0.7:
        a, b = sorted([number(rng), number(rng)], reverse=True)
        signs, result = ["-", "-", "minus"], a - b
    elif kind < 0.9:
        a, b = rng.randint(0, 12), rng.randint(0, 12)
        signs, result = ["*", "x", "times", "multiplied by"], a * b
    else:
        b, result = rng.randint(1, 12), rng.randint(0, 12)
        a, signs = b * result, ["/", "divided by", "÷"]
    sign = rng.choice(signs)
    if sign == "and":
        return f"the sum of {a} and {b}", result
    if len(sign) > 1 and a <= 99 and rng.random() < 0.25:
        return f"{in_words(a)} {sign} {in_words(b)}" if b <= 99 else f"{a} {sign} {b}", result
    return (f"{a}{sign}{b}" if len(sign) == 1 and sign != "x" and rng.random() < 0.25 else f"{a} {sign} {b}"), result


def plain_sum(rng: random.Random) -> dict[str, Any]:
    text, result = sums(rng)
    question = typed(rng, spin(rng, ASK, sum=text).replace("?", "") + rng.choice(["?", "", " =", "?"]))
    answer = rng.choice(["{sum} = {r}.", "{sum} is {r}.", "The answer is {r}.", "{r}.", "{sum} equals {r}.", "That is {r}."])
    text = text[:1].upper() + text[1:]
    return exchange(question, answer.format(sum=text, r=result))


def follow_up(rng: random.Random) -> dict[str, Any]:
    """Two sums in a row, the second built on the first."""
    a, b, c = rng.randint(1, 30), rng.randint(1, 30), rng.randint(1, 10)
    more = rng.random() < 0.5
    second = spin(rng, "{And|Now|And what is it if you} {add|plus} [c]?" if more else "{And|Now} {minus|take away} [c]?", c=c)
    result = a + b + c if more else a + b - c
    sign = "+" if more else "-"
    return exchange(f"What is {a} + {b}?", f"{a} + {b} = {a + b}.", second, f"{a + b} {sign} {c} = {result}.")


def word_problem(rng: random.Random) -> dict[str, Any]:
    a, b = rng.randint(2, 20), rng.randint(1, 12)
    name, other = rng.sample(NAMES, 2)
    things = rng.choice(THINGS)
    slots = dict(a=a, b=b, n=name, o=other, t=things, s=a + b, d=a - b if a > b else a, p=a * b)
    if a > b and rng.random() < 0.5:
        question = "[n] has [a] [t]{.| and} {[n] gives|gives} [b] {of them |}to [o]. How many [t] {does [n] have left|are left}?"
        answer = "[a] - [b] = [d]. [n] has [d] [t] left."
    elif rng.random() < 0.6:
        question = "[n] has [a] [t]. {[o] gives [n] [b] more.|[n] {finds|buys|gets} [b] more.} How many [t] does [n] have {now|in all}?"
        answer = "[a] + [b] = [s]. [n] has [s] [t] {now|in all}."
    else:
        question = "There are [a] {boxes|bags|baskets}. {Each|Every one} holds [b] [t]. How many [t] are there {in all|altogether}?"
        answer = "[a] x [b] = [p]. There are [p] [t] in all."
    return exchange(spin(rng, question, **slots).replace(". gives", ". Then " + name + " gives").replace("and " + name + " gives", "and gives"), spin(rng, answer, **slots))


def counting(rng: random.Random) -> dict[str, Any]:
    kind = rng.randrange(8)
    if kind == 0:
        a = rng.choice([1, 1, 1, 0, 2, 5, 10])
        b = a + rng.randint(3, 12)
        return exchange(typed(rng, f"Count from {a} to {b}."), ", ".join(map(str, range(a, b + 1))) + ".")
    if kind == 1:
        a = rng.randint(3, 12)
        return exchange(typed(rng, f"Count {rng.choice(['down', 'backwards'])} from {a}."), ", ".join(map(str, range(a, -1, -1))) + ".")
    if kind == 2:
        a, b = rng.sample(range(0, 200), 2)
        word, pick = rng.choice([("larger", max), ("bigger", max), ("greater", max), ("smaller", min)])
        return exchange(typed(rng, f"Which number is {word}, {a} or {b}?"), f"{pick(a, b)} is {word} than {min(a, b) if pick is max else max(a, b)}.")
    if kind == 3:
        a = rng.randint(0, 200)
        after = rng.random() < 0.6
        return exchange(typed(rng, f"What number comes {'after' if after else 'before'} {a + 1}?"), f"{a + 2 if after else a} comes {'after' if after else 'before'} {a + 1}.")
    if kind == 4:
        a = rng.randint(0, 100)
        return exchange(typed(rng, f"Is {a} even or odd?"), f"{a} is {'odd' if a % 2 else 'even'}.")
    if kind == 5:
        step = rng.choice([2, 2, 5, 10, 3])
        return exchange(typed(rng, f"Count by {step}s to {step * 8}."), ", ".join(str(step * i) for i in range(1, 9)) + ".")
    if kind == 6:
        a = rng.randint(0, 99)
        if rng.random() < 0.5:
            return exchange(typed(rng, f"How do you write {a} in words?"), f"{a} in words is {in_words(a)}.")
        return exchange(typed(rng, f"Write {in_words(a)} as a number."), f"{in_words(a).capitalize()} is {a}.")
    a = 2 * rng.randint(1, 50)
    return exchange(typed(rng, rng.choice([f"What is half of {a}?", f"What is {a} divided by two?"])), f"Half of {a} is {a // 2}.") if rng.random() < 0.5 else exchange(
        typed(rng, rng.choice([f"What is double {a}?", f"What is twice {a}?"])), f"Twice {a} is {2 * a}.")


def order(rng: random.Random) -> dict[str, Any]:
    """What comes after Monday, which month is the third, how many sides."""
    kind = rng.randrange(4)
    if kind == 3:
        shape, sides = rng.choice(list(SHAPES.items()))
        return exchange(typed(rng, f"How many {rng.choice(['sides', 'corners'])} does {'an' if shape[0] in 'aeo' else 'a'} {shape} have?"), f"{'An' if shape[0] in 'aeo' else 'A'} {shape} has {NUMBERS[sides]} sides and {NUMBERS[sides]} corners.")
    names, what = rng.choice([(DAYS, "day"), (MONTHS, "month")])
    i = rng.randrange(len(names))
    if kind == 0:
        return exchange(typed(rng, f"{rng.choice(['What', 'Which'])} {what} comes after {names[i]}?"), f"{names[(i + 1) % len(names)]} comes after {names[i]}.")
    if kind == 1:
        return exchange(typed(rng, f"{rng.choice(['What', 'Which'])} {what} comes before {names[i]}?"), f"{names[i - 1]} comes before {names[i]}.")
    if rng.random() < 0.4:
        return exchange(typed(rng, rng.choice([f"What are the {what}s?", f"List the {what}s.", f"Name all {what}s.", f"What are the {what}s of the {'week' if what == 'day' else 'year'}?"])), f"The {what}s are {', '.join(names[:-1])} and {names[-1]}.")
    return exchange(typed(rng, f"What is the {ORDINALS[i]} {what} of the {'week' if what == 'day' else 'year'}?"), f"The {ORDINALS[i]} {what} is {names[i]}.")


def generate(rng: random.Random, count: int) -> Iterator[dict[str, Any]]:
    kinds = rng.choices([plain_sum, follow_up, word_problem, counting, order], [55, 5, 14, 16, 10], k=count)
    for kind in kinds:
        yield kind(rng)
