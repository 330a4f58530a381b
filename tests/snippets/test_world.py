"""The synthetic world is the same on every machine and keeps its promises."""

import hashlib
import json

from snippets import data, tiny, world


def digest(value):
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:12]


def test_the_world_is_made_from_its_seed_alone():
    assert digest(world.prose(20)) == digest(world.prose(20))
    assert digest(world.prose(20)) != digest(world.prose(20, seed=1))
    assert digest(world.manual()) != digest(world.manual(seed=1))
    assert world.services() == world.services()


def test_held_out_tickets_are_never_trained_on():
    tickets = world.tickets()
    seen = {(t.device, t.room, t.issue) for t in tickets[tiny.TRAIN_TICKETS]}
    held = {(t.device, t.room, t.issue) for t in tickets[tiny.HELD_OUT_TICKETS]}
    assert len(tickets) == 4608 and held and not seen & held


def test_held_out_tickets_share_no_ten_words_with_training_tickets():
    tickets = world.tickets()
    train = [t.text for t in tickets[:512]]
    held = [t.text for t in tickets[tiny.HELD_OUT_TICKETS][:96]]
    assert data.contamination(train, held, n=10) == []


def test_the_record_names_the_three_fields():
    ticket = world.tickets()[0]
    answer = world.record_reply(ticket)["messages"][1]["content"]
    assert answer == (
        f"device: {ticket.device}; room: {ticket.room}; issue: {ticket.issue}"
    )


def test_the_files_of_the_manual_agree_on_every_limit():
    known = world.parts()
    for text in world.manual().values():
        for part, values in known.items():
            for sentence in text.split(". "):
                if f"{part} tripped at" in sentence:
                    assert f"tripped at {values['limit']} kelvin" in sentence


def test_ports_are_facts_the_base_never_saw():
    documents = " ".join(tiny.base_documents())
    assert "port" not in documents.split()
    assert len(world.facts(properties=("port",), phrasing=(0,))) == len(world.SERVICES)
