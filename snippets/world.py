"""A small synthetic world, made from a seed, so that every example can prove learning.

Nothing is downloaded and nothing is secret. The world has six kinds of text:

* ``prose``: everyday paragraphs about a harbor town, the *general* ability;
* ``notes``: made-up words and numbers, so that unknown words do not surprise the base
  beyond measure, as they do not surprise a model that has read the web;
* ``tickets``: support requests with a plain reply, and the record QLoRA teaches;
* ``facts``: who owns which service, known to the base model;
* ``new_facts``: ports, which the base model has never seen;
* ``manual``: the files of a plant manual full of words the base never saw, the
  *domain* of continued pre-training.
"""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from typing import Any

Message = dict[str, str]
Conversation = dict[str, list[Message]]

# ---------------------------------------------------------------------------
# Chat: tickets and facts
# ---------------------------------------------------------------------------

DEVICES = (
    "printer", "scanner", "router", "laptop", "monitor", "projector",
    "keyboard", "camera", "phone", "switch", "server", "badge reader",
)  # fmt: skip
ISSUES = {
    "is not turning on": "power",
    "keeps losing its connection": "network",
    "is making a loud noise": "noise",
    "shows an error code": "error",
    "is running very slowly": "slow",
    "has a broken screen": "screen",
    "will not accept my password": "login",
    "is out of paper": "supply",
}
ROOMS = tuple(f"{floor}{door:02d}" for floor in (1, 2, 3, 4) for door in range(1, 13))
OPENINGS = ("Hello, the", "Hi, the", "The", "Good morning, the", "Please help, the")

SERVICES = (
    "Kestrel", "Merlin", "Osprey", "Falcon", "Heron", "Plover", "Curlew", "Dunlin",
    "Avocet", "Bittern", "Godwit", "Lapwing", "Petrel", "Gannet", "Puffin", "Fulmar",
    "Shrike", "Linnet", "Siskin", "Wagtail", "Dipper", "Pipit", "Martin", "Swift",
    "Magpie", "Jackdaw", "Raven", "Rook", "Teal", "Pintail", "Wigeon", "Gadwall",
)  # fmt: skip
PROPERTIES = {
    "team": ("billing", "search", "storage", "identity", "ingest", "reports"),
    "language": ("Rust", "Go", "Python", "Java", "Kotlin", "Scala"),
    "region": ("north", "south", "east", "west"),
}
QUESTIONS = {
    "team": ("Which team owns {s}?", "Who owns {s}?"),
    "language": ("Which language is {s} written in?", "What is {s} written in?"),
    "region": ("Which region runs {s}?", "Where does {s} run?"),
    "port": ("Which port does {s} use?", "What is the port of {s}?"),
}
ANSWERS = {
    "team": "{s} is owned by the {v} team.",
    "language": "{s} is written in {v}.",
    "region": "{s} runs in the {v} region.",
    "port": "{s} uses port {v}.",
}


@dataclass(frozen=True)
class Ticket:
    """One support request and the three fields a reply must name."""

    text: str
    device: str
    room: str
    issue: str


def conversation(user: str, assistant: str) -> Conversation:
    """Return one two-turn conversation in the ``messages`` format."""
    turns = (("user", user), ("assistant", assistant))
    return {"messages": [{"role": role, "content": text} for role, text in turns]}


def tickets(seed: int = 0) -> list[Ticket]:
    """Return all 4,608 tickets (device x issue x room), shuffled by ``seed``."""
    rng = random.Random(seed)
    out = [
        Ticket(f"{rng.choice(OPENINGS)} {d} in room {room} {says}.", d, room, issue)
        for d in DEVICES
        for says, issue in ISSUES.items()
        for room in ROOMS
    ]
    rng.shuffle(out)
    return out


def plain_reply(ticket: Ticket) -> Conversation:
    """Return the polite reply that the base model was trained to give."""
    return conversation(
        ticket.text,
        f"Thank you. I have opened a {ticket.issue} ticket for the {ticket.device} "
        f"in room {ticket.room}.",
    )


def record_reply(ticket: Ticket) -> Conversation:
    """Return the reply that the QLoRA tutorial teaches: a record a program can read."""
    fields = asdict(ticket)
    del fields["text"]
    record = "; ".join(f"{name}: {value}" for name, value in fields.items())
    return conversation(ticket.text, record)


def services(seed: int = 0) -> dict[str, dict[str, str]]:
    """Return the properties of the 32 services: team, language, region and port."""
    rng = random.Random(seed)
    out = {}
    for service in SERVICES:
        known = {name: rng.choice(values) for name, values in PROPERTIES.items()}
        out[service] = known | {"port": str(rng.randint(1000, 9999))}
    return out


def facts(
    seed: int = 0,
    properties: tuple[str, ...] = tuple(PROPERTIES),
    phrasing: tuple[int, ...] = (0, 1),
) -> list[Conversation]:
    """Return questions and answers about the services.

    Parameters
    ----------
    seed
        Seed of the world.
    properties
        Which properties to ask for; ``("port",)`` are facts the base never saw.
    phrasing
        Which of the two phrasings of each question to include.
    """
    return [
        conversation(QUESTIONS[p][k].format(s=s), ANSWERS[p].format(s=s, v=known[p]))
        for s, known in services(seed).items()
        for p in properties
        for k in phrasing
    ]


# ---------------------------------------------------------------------------
# Prose: the general ability
# ---------------------------------------------------------------------------

PROSE = {
    "start": (
        "{who} {walked} to the {place} {when}.",
        "{when_cap}, {who} {carried} {thing} to the {place}.",
        "The {place} was {quality} {when}, and {who} {stayed} there with {who2}.",
        "{who} told {who2} that the {thing0} was {quality}.",
        "It was {weather} {when}, so the {place} {state}.",
        "{who} had {owned} a {adjective} {thing0} since the {season}.",
        "Nobody knew why the {thing0} had been left at the {place}.",
    ),
    "middle": (
        "{pronoun} {walked} past the {place} and {noticed} {thing}.",
        "The {thing0} belonged to {who2}, who {felt} {emotion} about it.",
        "{who2} {said} that the {weather_noun} would {change} before {hour}.",
        "There were {number} {people} in the {place}, and each of them {held} {thing}.",
        "{pronoun} {wished} to {action}, but the {place} {state}.",
        "A {adjective} {animal} {slept} near the {thing0} while {who2} {worked}.",
        "On the way back {who} {noticed} a {adjective} {animal} beside the {place}.",
        "The price of the {thing0} was {number} coins, which {who2} {thought} {fair}.",
        "{who2} {answered} with a {adjective} smile and {held} {thing}.",
        "Some {people} {said} the {place} had been {quality} for {number} years.",
    ),
    "end": (
        "In the end {who} {walked} home and {thought} about {who2}.",
        "By {hour} the {place} was {quality} again.",
        "{who2} {promised} to {action} in the {season}.",
        "After that, the {thing0} {stayed_it} at the {place}.",
        "{who} never {said} a word about the {thing0}.",
        "That is how {who2} came to own {thing}.",
    ),
    "who": ("Anna", "Boris", "Clara", "David", "Elena", "Felix", "Greta", "Hugo",
            "Irene", "Jonas", "Karin", "Lucas", "Marta", "Nils", "Olga", "Peter",
            "Rosa", "Stefan", "Tilda", "Viktor"),
    "who2": ("the baker", "the captain", "her brother", "the old teacher",
             "a fisherman", "the doctor", "his neighbor", "the young clerk",
             "the gardener", "a traveler"),
    "pronoun": ("She", "He", "They", "One of them"),
    "walked": ("walked", "hurried", "went slowly", "rode", "wandered", "ran"),
    "carried": ("carried", "brought", "took", "sent", "returned"),
    "stayed": ("stayed", "waited", "sat down", "talked for hours"),
    "stayed_it": ("remained", "was kept", "could be seen", "was forgotten"),
    "owned": ("owned", "wanted", "looked for", "dreamed of"),
    "wished": ("wanted", "hoped", "planned", "tried", "forgot"),
    "noticed": ("noticed", "found", "picked up", "looked at", "remembered"),
    "held": ("held", "carried", "showed", "hid", "put down"),
    "said": ("said", "believed", "wrote", "claimed", "repeated"),
    "felt": ("felt", "seemed", "grew", "became"),
    "slept": ("slept", "waited", "sat", "played"),
    "worked": ("worked", "cooked", "sang", "read a letter", "mended a net"),
    "thought": ("thought", "found", "considered"),
    "answered": ("answered", "replied", "agreed", "listened"),
    "promised": ("promised", "decided", "began", "refused", "learned"),
    "fair": ("fair", "too high", "very low", "strange"),
    "change": ("change", "turn", "get worse", "clear up"),
    "action": ("paint the door", "sail to the island", "open a shop", "sell the boat",
               "write a long letter", "learn the song", "repair the roof",
               "visit the lighthouse", "plant an apple tree", "buy fresh bread"),
    "place": ("harbor", "market", "bakery", "school", "library", "bridge", "station",
              "garden", "lighthouse", "town hall", "beach", "old mill", "chapel",
              "orchard", "quay", "castle"),
    "state": ("was closed", "stayed empty", "filled with people", "smelled of fish",
              "was full of light", "looked different"),
    "quality": ("quiet", "crowded", "bright", "cold", "empty", "beautiful", "dark",
                "full of noise"),
    "thing": ("a basket of apples", "the blue lamp", "an old map", "a box of letters",
              "the silver key", "a loaf of bread", "a painted chair", "the red kite",
              "a broken clock", "a bottle of ink", "some dry wood", "a pair of boots",
              "the green umbrella", "a jar of honey", "two old coins"),
    "thing0": ("lamp", "map", "key", "chair", "clock", "boat", "letter", "bell",
               "coat", "ladder", "mirror", "wagon"),
    "adjective": ("small", "heavy", "wooden", "friendly", "gray", "curious", "tired",
                  "golden", "simple", "quick"),
    "animal": ("dog", "cat", "gull", "horse", "goat", "crow"),
    "people": ("children", "sailors", "farmers", "visitors", "students", "musicians"),
    "emotion": ("happy", "sad", "nervous", "proud", "calm", "angry"),
    "weather": ("raining", "windy", "foggy", "warm", "snowing", "very hot"),
    "weather_noun": ("rain", "wind", "fog", "storm", "sky"),
    "season": ("spring", "summer", "autumn", "winter"),
    "hour": ("noon", "midnight", "six", "eight", "sunset", "sunrise"),
    "when": ("in the morning", "after lunch", "late at night", "on Monday",
             "on Friday", "before the storm", "during the summer", "last week",
             "in the evening", "at dawn"),
    "when_cap": ("In the morning", "After lunch", "Late at night", "On Monday",
                 "Before the storm", "Last week", "At dawn", "One evening"),
}  # fmt: skip


def prose(documents: int, seed: int = 0) -> list[str]:
    """Return everyday paragraphs of five to nine sentences each."""
    rng = random.Random(f"prose-{seed}")
    return [_paragraph(rng) for _ in range(documents)]


def _paragraph(rng: random.Random) -> str:
    cast = {"who": rng.choice(PROSE["who"]), "place": rng.choice(PROSE["place"])}
    middle = [_sentence("middle", rng, cast) for _ in range(rng.randint(3, 7))]
    parts = [_sentence("start", rng, cast), *middle, _sentence("end", rng, cast)]
    return " ".join(parts)


def _sentence(kind: str, rng: random.Random, cast: dict[str, str]) -> str:
    words: dict[str, Any] = {k: rng.choice(v) for k, v in PROSE.items()}
    words["number"] = rng.randint(2, 99)
    text = rng.choice(PROSE[kind]).format(**(words | cast))
    return text[0].upper() + text[1:]


SYLLABLES = tuple(c + v for c in "bdfghjklmnprstvwz" for v in ("a", "e", "i", "o", "u"))
ENDINGS = ("n", "r", "l", "s", "x", "th", "ck", "rd", "")


WRAPS = ('"{}"', "'{}'", "({})", "[{}]", "{{{}}}", "{}:", "{}=", "{}/", "-{}", '{}",')


def notes(documents: int, seed: int = 0) -> list[str]:
    """Return notes of made-up words, common words, numbers and punctuation.

    They carry no meaning. A base that never saw a quote or a brace has no usable
    embedding for it, and LoRA, which freezes the embeddings, could not teach one. Each
    line comes twice: predicting the second one takes copying, which the replies to
    tickets need, and which a small model learns from here much sooner.
    """
    rng = random.Random(f"notes-{seed}")
    everyday = " ".join(w for k in PROSE for w in PROSE[k])
    everyday += " ".join((*DEVICES, *ISSUES, *ISSUES.values(), *SERVICES)).lower()
    common = sorted({w for w in everyday.split() if w.isalpha()})
    out = []
    for _ in range(documents):
        lines = [_note(rng, common) for _ in range(rng.randint(2, 4))]
        out.append(" ".join(f"{line} {line}" for line in lines))
    return out


def _note(rng: random.Random, common: list[str]) -> str:
    words = []
    for _ in range(rng.randint(4, 9)):
        kind = rng.random()
        if kind < 0.35:
            made = "".join(rng.choices(SYLLABLES, k=rng.randint(1, 3)))
            word = made + rng.choice(ENDINGS)
        elif kind < 0.8:
            word = rng.choice(common)
        else:
            word = str(rng.randint(0, 10 ** rng.randint(1, 4)))
        words.append(rng.choice(WRAPS).format(word) if rng.random() < 0.4 else word)
    text = " ".join(words)
    return text[0].upper() + text[1:] + rng.choice((".", ".", ";", ":", ","))


# ---------------------------------------------------------------------------
# The plant manual: the domain of continued pre-training
# ---------------------------------------------------------------------------

PARTS = (
    "brisard valve", "quellon pump", "tammer lock", "ostrine coil", "vexel gasket",
    "drumlin rotor", "carvane sleeve", "pyxal sensor", "morrel clutch", "zellith seal",
    "hask manifold", "jorvane gauge", "lumick burner", "naxor damper", "fennel brace",
    "wicket strainer",
)  # fmt: skip
SYMPTOMS = ("hums", "leaks", "sticks", "overheats", "vibrates", "loses pressure")
TOOLS = ("torque wrench", "feeler gauge", "hex key", "pin spanner", "vacuum probe")
FLUIDS = ("oil type K4", "coolant blue", "dry nitrogen", "graphite paste")


def parts(seed: int = 0) -> dict[str, dict[str, Any]]:
    """Return what the manual says about each part; the same in every file."""
    rng = random.Random(f"parts-{seed}")
    order = list(PARTS)
    rng.shuffle(order)
    return {
        part: {
            "torque": rng.randint(11, 98),
            "limit": rng.randint(101, 899),
            "hours": rng.randint(2, 90) * 100,
            "tool": rng.choice(TOOLS),
            "fluid": rng.choice(FLUIDS),
            "symptom": rng.choice(SYMPTOMS),
            "next": order[(order.index(part) + 1) % len(order)],
        }
        for part in PARTS
    }


MANUAL = {
    "line": (
        "{time} {crew} {isolated} the {part} and vented it to {small} bar.",
        "The {part} {read} {reading} kelvin, {near} its limit of {limit} kelvin.",
        "{crew} set the {tool} to {torque} newton meters and {closed} the {part}.",
        "Because the {part} {symptom} {when}, {crew} {checked} the {next} first.",
        "The {next} feeds the {part}; {crew} {checked} it {when}.",
        "{fluid} ran clear from the {part} after {small} minutes.",
        "Service of the {part} is due at {hours} hours; its counter {read} {reading}.",
        "Downstream the {next} {read} {reading} of {next_limit} kelvin {when}.",
        "Kit {small} for the {part} holds {fluid} and the {tool}.",
        "Tag {torque}-{limit} hangs on the {part} until {crew} signs {time}.",
        "{crew} pressurized the {part} in steps of {torque} kilopascal {when}.",
        "{time} the {part} tripped at {limit} kelvin and {crew} {isolated} the {next}.",
    ),
    "crew": ("operator Ruiz", "operator Chen", "fitter Adeyemi", "fitter Novak",
             "engineer Sato", "engineer Khan", "the night crew", "the day crew"),
    "isolated": ("isolated", "locked out", "bypassed", "drained", "shut in"),
    "read": ("read", "indicated", "logged", "stood at"),
    "near": ("well below", "close to", "half of", "within a tenth of"),
    "closed": ("closed", "cross-tightened", "sealed", "reassembled"),
    "checked": ("inspected", "replaced", "lapped", "flushed", "realigned"),
    "when": ("on start-up", "under full load", "at idle", "during the trip test",
             "after the purge", "before handover", "in recirculation"),
}  # fmt: skip


def manual(files: int = 40, lines: int = 40, seed: int = 0) -> dict[str, str]:
    """Return the plant manual: file name to text, one shift report each.

    Files differ in crew, times and readings, and in which parts they treat, but they
    agree on the facts of :func:`parts`: a model that has learned the manual predicts
    a *held-out file* well without having seen any of its sentences.
    """
    rng = random.Random(f"manual-{seed}")
    known = parts(seed)
    out = {}
    for number in range(files):
        chosen = rng.sample(PARTS, 6)
        body = [_manual_line(rng, rng.choice(chosen), known) for _ in range(lines)]
        head = f"Shift report {number:02d}. Unit {rng.randint(1, 9)}, {chosen[0]}."
        out[f"shift-report-{number:02d}.txt"] = " ".join([head, *body])
    return out


def _manual_line(
    rng: random.Random, part: str, known: dict[str, dict[str, Any]]
) -> str:
    words: dict[str, Any] = {k: rng.choice(v) for k, v in MANUAL.items()}
    words |= known[part] | {
        "part": part,
        "next_limit": known[known[part]["next"]]["limit"],
        "reading": rng.randint(100, 899),
        "small": rng.randint(2, 29),
        "time": f"at {rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}",
    }
    text = rng.choice(MANUAL["line"]).format(**words)
    return text[0].upper() + text[1:]
