"""Rows of other formats become conversations that the handbook's reader takes."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from snippets import data, prepare, tiny, world

model = tiny.resolve_model("tiny")
TICKETS = world.tickets()[:80]


@pytest.fixture
def raw(tmp_path):
    """A file in Alpaca's fields, with a customer a row and one row twice."""
    rows = []
    for number, ticket in enumerate(TICKETS):
        question, answer = world.record_reply(ticket)["messages"]
        row = {"instruction": "Write a record.", "input": question["content"]}
        rows.append(row | {"output": answer["content"], "customer": number % 8})
    return data.write_jsonl(tmp_path / "raw.jsonl", [*rows, rows[0]])


def test_the_guide_from_raw_rows_to_two_files(raw, tmp_path, capsys):
    folder = tmp_path
    # region: prepare-guide
    raw_rows = [json.loads(line) for line in raw.read_text().splitlines()]
    source = data.write_jsonl(
        folder / "chat.jsonl",
        [prepare.from_alpaca(r) | {"customer": r["customer"]} for r in raw_rows],
    )
    rows = data.read_chat(source)  # raises at the first row that cannot be trained

    rows, twice = data.drop_duplicates(rows, text=lambda r: json.dumps(r["messages"]))
    train, held = data.split_by_group(rows, "customer", held_out_groups=1)
    asked = [data.questions(row) for row in train]
    leaks = data.contamination(asked, map(data.questions, held), n=13)
    found = prepare.personal(json.dumps(r["messages"]) for r in rows)

    tokenizer = AutoTokenizer.from_pretrained(model)
    lengths = data.length_report(train, tokenizer, max_seq_len=128)
    print(f"{len(twice)} duplicates, {len(leaks)} leaks, personal data: {list(found)}")
    print(data.require_any(lengths).summary())

    kept = [train[index] for index in lengths.kept]
    train_file = data.write_jsonl(folder / "train.jsonl", kept)
    held_file = data.write_jsonl(folder / "held.jsonl", held)
    # endregion: prepare-guide
    assert len(data.read_chat(train_file)) == len(kept) == 70
    assert {row["customer"] for row in data.read_chat(held_file)}.isdisjoint(
        row["customer"] for row in kept
    )
    said = capsys.readouterr().out
    assert "1 duplicates, 0 leaks, personal data: []" in said
    assert "70 of 70 rows are kept" in said


def test_an_alpaca_row_without_an_answer_is_an_error():
    with pytest.raises(data.DataError, match='no "output" in a row with "instruction"'):
        prepare.from_alpaca({"instruction": "Say hello."})


def test_an_alpaca_input_follows_its_instruction():
    row = prepare.from_alpaca({"instruction": "Add.", "input": "1 2", "output": " 3 "})
    assert [turn["content"] for turn in row["messages"]] == ["Add.\n\n1 2", "3"]


def test_sharegpt_speakers_become_roles(tmp_path):
    talk = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello."}]
    row = prepare.from_sharegpt({"conversations": talk})
    assert [turn["role"] for turn in row["messages"]] == ["user", "assistant"]
    data.read_chat(data.write_jsonl(tmp_path / "rows.jsonl", [row]))


def test_an_unknown_speaker_is_an_error():
    with pytest.raises(data.DataError, match=r'conversations\[0\]: unknown .* "bing"'):
        prepare.from_sharegpt({"conversations": [{"from": "bing", "value": "Hi"}]})


def test_the_obvious_personal_data_is_found_and_ordinary_text_is_not():
    texts = [
        "Write to ann@example.org or call +49 30 1234567.",
        "password: hunter2xyz on 10.0.0.17",
        "device: printer; room: 101; issue: slow. Version 2.13.0 of 2026-11-25.",
    ]
    found = prepare.personal(texts)
    assert {kind: [place[0] for place in places] for kind, places in found.items()} == {
        "e-mail address": [0],
        "phone number": [0],
        "secret": [1],
        "IP address": [1],
    }


def test_training_hub_reads_a_table_and_decodes_conversations_in_its_cells(tmp_path):
    from training_hub.utils import ensure_messages_jsonl

    row = world.record_reply(TICKETS[0])
    with (tmp_path / "rows.csv").open("w", newline="") as out:
        table = csv.DictWriter(out, ["messages"])
        table.writeheader()
        table.writerow({"messages": json.dumps(row["messages"])})
    # region: table
    source = ensure_messages_jsonl(str(tmp_path / "rows.csv"), str(tmp_path / "out"))
    # endregion: table
    assert data.read_chat(source)[0]["messages"] == row["messages"]


def test_the_rows_that_the_page_shows_pass_the_reader(tmp_path):
    page = Path(__file__).parents[2] / "docs" / "how-to" / "prepare-data.mdx"
    shown = re.findall(r"```json.*\n([\s\S]+?)```", page.read_text(encoding="utf-8"))
    rows = [json.loads(line) for block in shown for line in block.splitlines()]
    chats = [row for row in rows if "messages" in row]
    documents = [row for row in rows if "document" in row]
    assert len(chats) >= 3 and len(documents) == 1
    assert data.read_chat(data.write_jsonl(tmp_path / "chat.jsonl", chats)) == chats
    data.read_text(data.write_jsonl(tmp_path / "text.jsonl", documents))
