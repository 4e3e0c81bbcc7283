"""Work with words: spelling, plurals, opposites, rhymes, rewriting, sentences."""

import random
from collections.abc import Iterator
from typing import Any

from .spin import article, blocks, capital, exchange, join, spin, typed
from .tables import CITIES, NAMES, NUMBERS, OPPOSITES, PASTS, PLURALS, RHYMES, SYNONYMS

PLAIN_WORDS = sorted(
    {i for _, lines in blocks("lists.txt") for i in lines[0].replace(";", " ").lower().split() if i.isalpha() and 2 < len(i) < 11}
    | set(OPPOSITES) | set(SYNONYMS) | set(PLURALS) | set(PASTS)
)  # fmt: skip
SUBJECTS = "I|you|we|they|my friend|the boy|the girl|my sister|the teacher|the old man|our neighbour|the cat|the dog".split("|")
SCENES = [
    ("go", "goes", "went", "to the {market|park|beach|library|station|old church|river|school}"),
    ("eat", "eats", "ate", "{an apple|some bread|a bowl of soup|a piece of cake|rice and beans}"),
    ("see", "sees", "saw", "a {bird|ship|rainbow|little house|red car|strange light} {in the garden|on the hill|near the road}"),
    ("write", "writes", "wrote", "a {letter|story|poem|long list} to {a friend|the king|the teacher}"),
    ("play", "plays", "played", "{football|a game|the piano|with a ball} {after school|in the garden|every day}"),
    ("find", "finds", "found", "a {key|coin|map|lost dog} under the {tree|table|bridge|bed}"),
    ("read", "reads", "read", "a {good book|newspaper|long letter} by the {fire|window|sea}"),
    ("buy", "buys", "bought", "{fresh fish|a new hat|three pears|some flowers} at the market"),
    ("make", "makes", "made", "a {cake|kite|fire|small boat} for the {children|feast|holiday}"),
    ("sing", "sings", "sang", "a {song|sad song|merry song} in the {kitchen|rain|evening}"),
]
SENTENCES = {
    "happy": "The children were happy when the sun came out.", "run": "We run to the river every morning.",
    "tree": "A tall tree stands beside the old house.", "book": "She read the whole book in one day.",
    "water": "Please give me a glass of water.", "dog": "The dog waits at the door for his friend.",
    "house": "Their house has a red roof and a small garden.", "friend": "A good friend listens to you.",
    "rain": "The rain fell softly on the roof.", "brave": "The brave girl climbed up to save the kitten.",
    "beautiful": "The sunset over the sea was beautiful.", "music": "Soft music came through the open window.",
    "winter": "In winter the lake is covered with ice.", "bread": "Fresh bread smells wonderful.",
    "night": "At night the stars shine above the hills.", "quick": "The quick fox ran across the field.",
    "school": "The school stands next to the library.", "light": "A light was burning in the little house.",
    "dream": "Last night I had a strange dream.", "river": "The river flows slowly to the sea.",
    "teacher": "The teacher asked us an easy question.", "garden": "There are roses in our garden.",
    "slowly": "The old man walked slowly up the hill.", "curious": "The curious cat looked into the box.",
}  # fmt: skip
FORMAL = [
    ("Hey, can you send me that file?", "Dear colleague, could you please send me the file?"),
    ("Thanks a lot!", "Thank you very much."), ("I can't come tomorrow.", "I am sorry, but I will not be able to come tomorrow."),
    ("What do you want?", "How may I help you?"), ("Give me the book.", "Could you please give me the book?"),
    ("I'm busy now.", "I am afraid that I am occupied at the moment."), ("Call me later.", "Please call me at a later time."),
    ("That's wrong.", "I believe that this is not correct."), ("Sorry I'm late.", "I apologise for being late."),
    ("Let's meet at five.", "I suggest that we meet at five o'clock."), ("Wait a second.", "Please wait a moment."),
    ("I need help.", "I would be grateful for your help."), ("See you soon!", "I look forward to seeing you soon."),
]  # fmt: skip
SLIPS = dict(
    pair.split(":") for pair in (
        "becuase:because freind:friend recieve:receive wich:which teh:the definately:definitely tommorow:tomorrow "
        "untill:until beleive:believe writting:writing happend:happened begining:beginning beatiful:beautiful libary:library "
        "diffrent:different realy:really peice:piece wierd:weird adress:address truely:truly freindly:friendly allways:always "
        "usefull:useful hapy:happy scool:school childs:children goverment:government suprise:surprise intresting:interesting"
    ).split()
)


def scene(rng: random.Random) -> tuple[str, str, str]:
    """One made-up sentence in the present and in the past, and its subject."""
    subject = rng.choice(SUBJECTS + [rng.choice(NAMES), rng.choice(NAMES)])
    plain, third, past, rest = rng.choice(SCENES)
    rest = spin(rng, rest)
    now = plain if subject in ("I", "you", "we", "they") else third
    return f"{capital(subject)} {now} {rest}.", f"{capital(subject)} {past} {rest}.", subject


def spelling(rng: random.Random) -> dict[str, Any]:
    word = rng.choice(PLAIN_WORDS + [n.lower() for n in NAMES[:40]])
    kind = rng.randrange(7)
    spelled = "-".join(word.upper())
    if kind <= 1:
        ask = spin(rng, "{How do you spell|Spell|Can you spell|Please spell|Spell the word} {\"[w]\"|[w]}{?|.|}", w=word)
        return exchange(typed(rng, ask), rng.choice([spelled, f"{capital(word)} is spelled {spelled}.", f"{spelled}."]))
    if kind == 2:
        return exchange(f"How many letters are in the word \"{word}\"?", f"{spelled}. \"{capital(word)}\" has {NUMBERS[len(word)]} letters.")
    if kind == 3:
        which, letter = rng.choice([("first", word[0]), ("last", word[-1])])
        return exchange(typed(rng, f"What is the {which} letter of \"{word}\"?"), f"The {which} letter of \"{word}\" is {letter.upper()}.")
    if kind == 4:
        return exchange(spin(rng, "{Write [w] in capital letters.|Put this in capitals: [w]|Uppercase: [w]|Make this uppercase: [w]}", w=word), word.upper())
    if kind == 5:
        slip, right = rng.choice(list(SLIPS.items()))
        ask = spin(rng, "{Correct the spelling: [w]|How do you spell \"[w]\" correctly?|Fix this word: [w]|Is \"[w]\" spelled correctly?}", w=slip)
        return exchange(ask, f"No, the correct spelling is \"{right}\"." if ask.startswith("Is") else f"The correct spelling is \"{right}\".")
    return exchange(f"Does the word \"{word}\" have the letter {(letter := rng.choice('aeiourst'))} in it?",
                    f"Yes, \"{word}\" has the letter {letter}." if letter in word else f"No, \"{word}\" does not have the letter {letter}.")  # fmt: skip


def forms(rng: random.Random) -> dict[str, Any]:
    kind = rng.randrange(5)
    if kind == 0:
        word, other = rng.choice(list(PLURALS.items()))
        ask = "{What is the plural of [w]?|Give me the plural of \"[w]\".|Plural of [w]|Make [w] plural.|How do you say more than one [w]?}"
        return exchange(typed(rng, spin(rng, ask, w=word)), f"The plural of \"{word}\" is \"{other}\".")
    if kind == 1:
        word, other = rng.choice(list(PASTS.items()))
        ask = "{What is the past tense of [w]?|Past tense of \"[w]\"|Give me the past form of [w].|What is the past of [w]?}"
        return exchange(typed(rng, spin(rng, ask, w=word)), f"The past tense of \"{word}\" is \"{other}\".")
    if kind == 2:
        word, other = rng.choice(list(OPPOSITES.items()))
        if rng.random() < 0.5:
            word, other = other, word
        ask = "{What is the opposite of [w]?|Opposite of [w]|Give me the opposite of \"[w]\".|What's the opposite of [w]?|Give me an antonym of [w].}"
        return exchange(typed(rng, spin(rng, ask, w=word)), rng.choice([f"The opposite of \"{word}\" is \"{other}\".", f"The opposite of {word} is {other}."]))
    if kind == 3:
        word, other = rng.choice(list(SYNONYMS.items()))
        ask = "{What is another word for [w]?|Give me a synonym for \"[w]\".|Another word for [w]|What is a synonym of [w]?|Which word means the same as [w]?}"
        return exchange(typed(rng, spin(rng, ask, w=word)), rng.choice([f"Another word for \"{word}\" is \"{other}\".", f"{capital(other)}."]))
    rhyme = rng.choice(RHYMES).split()
    rng.shuffle(rhyme)
    word, others = rhyme[0], rhyme[1 : 1 + rng.randint(1, 3)]
    ask = "{What rhymes with [w]?|Give me a word that rhymes with [w].|Which words rhyme with \"[w]\"?|Find a rhyme for [w].}"
    return exchange(typed(rng, spin(rng, ask, w=word)), f"{capital(join(others))} {'rhyme' if len(others) > 1 else 'rhymes'} with {word}.")


def rewriting(rng: random.Random) -> dict[str, Any]:
    now, past, _ = scene(rng)
    kind = rng.randrange(10)
    if kind == 0:
        return exchange(spin(rng, "{Rewrite this in the past tense|Put this into the past|Change to past tense|Past tense, please}: [s]", s=now), past)
    if kind == 1:
        return exchange(spin(rng, "{Rewrite this in the present tense|Change to present tense}: [s]", s=past), now)
    if kind == 2:
        return exchange(spin(rng, "{Write this in capital letters|Make this uppercase|Put this in capitals}: [s]", s=past), past.upper())
    if kind == 3:
        return exchange(spin(rng, "{Write this in small letters|Make this lowercase}: [s]", s=past.upper()), past.lower())
    if kind == 4:
        return exchange(spin(rng, "{Repeat after me|Say this|Repeat this|Repeat this sentence|Copy this}: [s]", s=past), past)
    if kind == 5:
        sloppy = past[:-1].lower()
        return exchange(spin(rng, "{Fix the punctuation|Correct this sentence|Fix this sentence|Fix the grammar|Correct this}: [s]", s=sloppy), past)
    if kind == 6:
        plain, formal = rng.choice(FORMAL)
        return exchange(spin(rng, "{Make this more polite|Rewrite this formally|Make this formal|Say this in a polite way}: [s]", s=plain), formal)
    if kind == 7:
        slip, right = rng.choice(list(SLIPS.items()))
        template = rng.choice(["I think that {} is here.", "She wrote {} on the paper.", "He said {} again.", "We talked about the word {} today."])
        return exchange(spin(rng, "{Correct the mistake|Find the mistake|Fix the spelling|Correct the spelling}: [s]", s=template.format(slip)), template.format(right))
    if kind == 8:
        old, new = rng.sample(NAMES, 2)
        line = f"{old} {rng.choice(['lives in', 'comes from', 'went to', 'likes'])} {rng.choice(CITIES)}."
        return exchange(f"Replace {old} with {new}: {line}", line.replace(old, new))
    words = past[:-1].split()
    return exchange(f"How many words are in this sentence? {past}", f"There are {NUMBERS[len(words)]} words in the sentence.")


def sentence(rng: random.Random) -> dict[str, Any]:
    if rng.random() < 0.4:
        word, text = rng.choice(list(SENTENCES.items()))
        ask = "{Use \"[w]\" in a sentence.|Write a sentence with the word [w].|Make a sentence with \"[w]\".|Give me a sentence with [w].|Use the word [w] in a sentence.}"
        return exchange(typed(rng, spin(rng, ask, w=word)), text)
    now, past, subject = scene(rng)
    about = subject.removeprefix("the ").removeprefix("my ")
    if about in ("I", "you", "we", "they"):
        return exchange(spin(rng, "{Write a sentence.|Write a short sentence.|Give me a simple sentence.|Write any sentence.}"), past)
    ask = "{Write a sentence about [w].|Give me a short sentence about [w].|Make a sentence about [w].}"
    return exchange(typed(rng, spin(rng, ask, w=about if about in NAMES else article(about))), past if about in NAMES else past)


def reading(rng: random.Random) -> dict[str, Any]:
    """A tiny text and a question that it answers; half of the time about the speaker, who says things a turn before."""
    name, other = rng.sample(NAMES, 2)
    city, thing, age = rng.choice(CITIES), rng.choice("cat dog bicycle garden boat piano parrot horse".split()), rng.randint(6, 80)
    colour = rng.choice("red blue green yellow black white".split())
    facts = [
        ("{My name is|I am|I'm|Call me} [n].", "{What is my name?|Do you remember my name?|What's my name?|Who am I?}", "Your name is [n].", "{Nice to meet you, [n]!|Hello, [n]!|Hi [n], nice to meet you!} {How can I help you?|How are you?|}"),
        ("I {live in|come from|am from} [c].", "{Where do I live?|Where am I from?|Which city did I name?}", "You told me [c].", "{[c] is a nice place.|That is interesting!|I would like to hear more about [c].}"),
        ("I am [a] years old.", "{How old am I?|What is my age?}", "You are [a] years old.", "{Thank you for telling me.|That is a good age!}"),
        ("I have a [k] [t].", "{What do I have?|What colour is my [t]?|What did I tell you about my [t]?}", "You have a [k] [t].", "{How nice!|That sounds lovely.} {Tell me more about your [t].|}"),
        ("My favourite colour is [k].", "{What is my favourite colour?|Which colour do I like?}", "Your favourite colour is [k].", "{[k] is a lovely colour.|Nice!}"),
    ]  # fmt: skip
    slots = dict(n=name, o=other, c=city, t=thing, a=age, k=colour)
    if rng.random() < 0.55:
        said, ask, answer, reply = rng.choice(facts)
        return exchange(*(capital(spin(rng, part, **slots)) for part in (said, reply, ask, answer)))
    text = "[n] is [a] years old and lives in [c]. [n] has a [k] [t]. {[o] is a friend of [n].|Every Sunday [n] visits [o].}"
    ask, answer = rng.choice([
        ("How old is [n]?", "[n] is [a] years old."), ("Where does [n] live?", "[n] lives in [c]."),
        ("What colour is the [t]?", "The [t] is [k]."), ("What does [n] have?", "[n] has a [k] [t]."),
        ("Who has a [t]?", "[n] has a [t]."), ("Who lives in [c]?", "[n] lives in [c]."),
    ])  # fmt: skip
    if rng.random() < 0.25:
        ask, answer = rng.choice([("What does [n] eat?", "The text does not say."), ("How tall is [n]?", "The text does not say that."), ("What is the job of [n]?", "The text does not say.")])
    text = spin(rng, text, **slots)
    question = spin(rng, ask, **slots)
    layouts = ["{t}\n\n{q}", "{t} {q}", "Read this text: {t}\nQuestion: {q}", "{q}\n\n{t}", "Text: {t}\n\nQuestion: {q}"]
    return exchange(rng.choice(layouts).format(t=text, q=question), spin(rng, answer, **slots))


def generate(rng: random.Random, count: int) -> Iterator[dict[str, Any]]:
    for kind in rng.choices([spelling, forms, rewriting, sentence, reading], [18, 26, 24, 8, 24], k=count):
        yield kind(rng)
