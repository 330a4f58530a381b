"""Bad data is refused in one sentence that names file, line and field."""

import errno
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snippets.data import (
    DataError,
    contamination,
    drop_duplicates,
    fertility,
    length_report,
    questions,
    read_chat,
    read_text,
    require_any,
    split,
    split_by_group,
    truncated_by_packing,
    write_jsonl,
)

USER = {"role": "user", "content": "Where is the printer?"}
ASSISTANT = {"role": "assistant", "content": "In room 101."}
GOOD = {"messages": [USER, ASSISTANT]}
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}"
)


@pytest.fixture
def chat(tmp_path):
    """Write lines to a file and return its path."""

    def write(*lines):
        path = tmp_path / "train.jsonl"
        texts = [x if isinstance(x, str) else json.dumps(x) for x in lines]
        path.write_text("\n".join(texts) + "\n", encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="module")
def tokenizer():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(["Where is the printer? In room 101."] * 3, trainer)
    made = PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    made.chat_template = TEMPLATE
    return made


def refused(reader, path, *words, **kwargs):
    with pytest.raises(DataError) as error:
        reader(path, **kwargs)
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith(str(path)), message
    for word in words:
        assert word in message, message


# ------------------------------------------------------------------ chat
def test_good_conversations_come_back_as_they_stand(chat):
    row = {"messages": [USER, ASSISTANT], "source": "tickets", "unmask": True}
    assert read_chat(chat(row, "", GOOD)) == [row, GOOD]


def test_a_missing_file_is_named(tmp_path):
    refused(read_chat, tmp_path / "nowhere.jsonl", "no such file")


def test_a_folder_is_not_a_file(tmp_path):
    refused(read_chat, tmp_path, "is a folder")


@pytest.mark.parametrize("content", ["", "\n\n  \n"])
def test_an_empty_file_is_refused(tmp_path, content):
    path = tmp_path / "train.jsonl"
    path.write_text(content)
    refused(read_chat, path, "the file is empty")


def test_broken_json_is_named_by_line_and_column(chat):
    path = chat(GOOD, "", '{"messages": [')
    refused(read_chat, path, "line 3: broken JSON at column 15")


def test_a_list_in_place_of_an_object_is_refused(chat):
    refused(read_chat, chat([GOOD]), "line 1: is a list, not an object")


def test_text_that_is_not_utf8_is_refused(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_bytes(b'{"messages": "caf\xe9"}\n')
    refused(read_chat, path, "line 1: not UTF-8 at byte 18")


def test_a_byte_order_mark_does_no_harm(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps(GOOD) + "\n", encoding="utf-8-sig")
    assert read_chat(path) == [GOOD]


def test_a_missing_field_names_the_fields_that_are_there(chat):
    row = {"conversation": [], "id": 1}
    refused(read_chat, chat(row), 'no field "messages"; it has "conversation", "id"')


@pytest.mark.parametrize("messages", [[], "hello", None])
def test_an_empty_conversation_is_refused(chat, messages):
    refused(read_chat, chat({"messages": messages}), 'line 1, field "messages": must')


def test_an_unknown_role_is_named_with_the_ones_to_use(chat):
    bad = {"messages": [USER, USER, {"role": "asistant", "content": "Yes."}]}
    path = chat(*[GOOD] * 6, bad)
    with pytest.raises(DataError) as error:
        read_chat(path)
    assert str(error.value) == (
        f'{path}, line 7, field "messages"[2].role: unknown role "asistant"; '
        "use one of system, user, assistant, tool"
    )


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("hello", '[1]: must be an object with "role" and "content"'),
        ({"role": "assistant"}, "[1].content: is missing"),
        ({"role": "assistant", "content": ["a"]}, "[1].content: is a list"),
        ({"role": "assistant", "content": "  "}, "[1].content: is empty"),
        ({"role": ["user"], "content": "a"}, "[1].role: unknown role"),
    ],
)
def test_a_message_that_teaches_nothing_is_refused(chat, message, said):
    refused(read_chat, chat({"messages": [USER, message]}), said)


def test_a_conversation_without_an_assistant_turn_is_refused(chat):
    refused(read_chat, chat(GOOD, {"messages": [USER]}), "line 2", "no assistant turn")


def test_a_tool_call_needs_no_text_but_the_conversation_needs_an_answer(chat):
    call = {"role": "assistant", "content": None, "tool_calls": [{"name": "find"}]}
    result = {"role": "tool", "content": "room 101"}
    row = {"messages": [USER, call, result, ASSISTANT]}
    assert read_chat(chat(row)) == [row]
    refused(read_chat, chat({"messages": [USER, call]}), "no assistant turn")


# ------------------------------------------------------------------ text
def test_documents_come_back_as_they_stand(chat):
    row = {"document": "A kestrel hovers.", "id": 3}
    assert read_text(chat(row)) == [row]


def test_the_column_that_holds_the_text_is_suggested(chat):
    path = chat({"text": "A kestrel hovers.", "id": 3})
    refused(read_text, path, 'line 1: no field "document", but "text" holds text')
    refused(read_text, path, 'pass document_column_name="text"')
    assert len(read_text(path, field="text")) == 1


def test_two_text_columns_are_named_without_a_guess(chat):
    path = chat({"title": "Kestrel", "text": "It hovers."})
    refused(read_text, path, 'no field "document"; it has "title", "text"')


@pytest.mark.parametrize("value", ["", " \n", 7, None])
def test_a_document_without_text_is_refused(chat, value):
    refused(read_text, chat({"document": value}), "must be a non-empty string")


# ------------------------------------------------------------------ write
rows_of_json = st.lists(
    st.dictionaries(st.text(), st.none() | st.integers() | st.text(), min_size=1)
)


@given(rows=rows_of_json)
def test_what_is_written_is_read_back(tmp_path_factory, rows):
    path = write_jsonl(tmp_path_factory.mktemp("out") / "a" / "rows.jsonl", rows)
    assert [json.loads(line) for line in path.read_bytes().splitlines()] == rows


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path):
    path = write_jsonl(tmp_path / "rows.jsonl", [{"old": True}])
    # /dev/full is a disk without space: the file beside is a link to it.
    (tmp_path / f".rows.jsonl.{os.getpid()}.tmp").symlink_to("/dev/full")
    with pytest.raises(OSError, match="the old file is unchanged") as error:
        write_jsonl(path, [{"new": True}])
    assert error.value.errno == errno.ENOSPC
    assert path.read_text() == '{"old": true}\n'
    assert list(tmp_path.iterdir()) == [path]


def test_a_row_that_is_no_json_leaves_the_old_file_and_nothing_else(tmp_path):
    path = write_jsonl(tmp_path / "rows.jsonl", [{"old": True}])
    with pytest.raises(TypeError):
        write_jsonl(path, [{"new": object()}])
    assert path.read_text() == '{"old": true}\n'
    assert list(tmp_path.iterdir()) == [path]


# ------------------------------------------------------------------ split
@given(size=st.integers(2, 50), seed=st.integers(0, 99), data=st.data())
def test_a_split_loses_no_row_and_keeps_the_order(size, seed, data):
    held_out = data.draw(st.integers(1, size - 1))
    train, held = split(list(range(size)), held_out, seed)
    assert len(held) == held_out
    assert sorted(train + held) == list(range(size))
    assert train == sorted(train)
    assert held == sorted(held)
    assert (train, held) == split(list(range(size)), held_out, seed)


@pytest.mark.parametrize("held_out", [0, 3, 4, -1])
def test_a_split_with_an_empty_part_is_refused(held_out):
    with pytest.raises(DataError, match=f"cannot hold out {held_out} of 3 rows"):
        split([1, 2, 3], held_out)


def test_no_group_lies_on_both_sides():
    rows = [{"file": f"{number % 5}.md", "n": number} for number in range(20)]
    train, held = split_by_group(rows, "file", held_out_groups=2)
    assert {row["file"] for row in train} & {row["file"] for row in held} == set()
    assert len({row["file"] for row in held}) == 2
    assert len(train) + len(held) == 20
    by_function = split_by_group(rows, lambda row: row["file"], held_out_groups=2)
    assert by_function == (train, held)


def test_a_group_that_is_no_field_is_refused():
    with pytest.raises(DataError, match='no field "path"; it has "file"'):
        split_by_group([{"file": "a"}], "path", held_out_groups=1)


def test_holding_out_every_group_is_refused():
    with pytest.raises(DataError, match="cannot hold out 2 of 2 groups"):
        split_by_group([{"file": "a"}, {"file": "b"}], "file", held_out_groups=2)


# ------------------------------------------------------------------ clean
def test_duplicates_differ_only_in_case_and_white_space():
    rows = [{"t": t} for t in ["One  two", "one two\n", "one three", "ONE TWO"]]
    kept, dropped = drop_duplicates(rows, lambda row: row["t"])
    assert [row["t"] for row in kept] == ["One  two", "one three"]
    assert dropped == [1, 3]


def test_eight_shared_words_are_contamination_and_seven_are_not():
    asked = "the quick brown fox jumps over the lazy dog today"
    train = ["Nothing here at all.", "The quick brown fox jumps over the lazy cat."]
    found = contamination(train, [asked, asked.removeprefix("the ")])
    assert [(one.eval_index, one.train_index) for one in found] == [(0, 1)]
    assert found[0].ngram == "the quick brown fox jumps over the lazy"


def test_questions_are_the_turns_of_the_user_alone():
    turns = [("system", "s"), ("user", "one"), ("assistant", "a"), ("user", "two")]
    row = {"messages": [{"role": role, "content": text} for role, text in turns]}
    assert questions(row) == "one two"
    assert questions({"messages": [{"role": "user", "content": None}]}) == ""


def test_case_and_punctuation_hide_no_overlap():
    train = ["Kestrel uses port 4711, and Merlin uses port 80."]
    asked = ["KESTREL uses -- port 4711 and merlin uses port"]
    assert len(contamination(train, asked)) == 1


def test_a_short_text_counts_only_when_it_is_a_whole_training_text():
    train = ["Yes it is.", "I say yes it is indeed"]
    assert [o.train_index for o in contamination(train, ["yes, it IS"])] == [0]
    assert contamination(train[1:], ["yes, it IS"]) == []


# ------------------------------------------------------------------ lengths
def conversation(words):
    answer = {"role": "assistant", "content": "room " * words}
    return {"messages": [USER, answer]}


def test_lengths_and_drops_are_those_of_training_hub(tokenizer, tmp_path):
    from datasets import Dataset
    from instructlab.training.data_process import (
        configure_tokenizer,
        filter_samples_by_length,
        unmask_messages,
    )

    rows = [conversation(words) for words in range(1, 60, 3)]
    report = length_report(rows, tokenizer, max_seq_len=80, min_seq_len=30)

    tokenizer.save_pretrained(tmp_path)
    marked = configure_tokenizer(str(tmp_path))
    theirs = [
        unmask_messages(r["messages"], marked, ["assistant"])["len"] for r in rows
    ]
    assert list(report.lengths) == theirs
    table = Dataset.from_dict({"row": list(range(len(rows))), "len": theirs})
    kept = filter_samples_by_length(table, max_seq_len=80, min_seq_len=30)
    assert list(report.kept) == list(kept["row"])
    assert report.too_short and report.too_long


def test_the_upper_bound_is_dropped_and_the_lower_one_is_kept(tokenizer):
    rows = [conversation(words) for words in (3, 4, 5)]
    lengths = length_report(rows, tokenizer, max_seq_len=9999).lengths
    report = length_report(rows, tokenizer, lengths[2], min_seq_len=lengths[0])
    assert report.kept == (0, 1)
    assert report.too_long == (2,)
    assert report.too_short == ()


def test_the_summary_says_what_is_dropped_and_why(tokenizer):
    rows = [conversation(words) for words in (1, 30, 90)]
    report = length_report(rows, tokenizer, max_seq_len=100, min_seq_len=40)
    first, second, third = report.summary().splitlines()
    assert first == "1 of 3 rows are kept by Training Hub (40 <= tokens < 100)"
    assert second == "  too short: 1, too long: 1"
    low, middle, high = report.lengths
    assert third == f"  tokens a row: {low} to {high}, median {middle}"


def test_a_run_that_would_drop_every_row_is_refused(tokenizer):
    rows = [conversation(words) for words in (30, 40)]
    report = length_report(rows, tokenizer, max_seq_len=25)
    with pytest.raises(DataError, match=r"all 2 rows would be dropped.*max_seq_len"):
        require_any(report)
    with pytest.raises(DataError, match="put more into each conversation"):
        require_any(length_report(rows, tokenizer, max_seq_len=999, min_seq_len=500))
    with pytest.raises(DataError, match="no row to train on"):
        require_any(length_report([], tokenizer, max_seq_len=25))
    fine = length_report(rows, tokenizer, max_seq_len=999)
    assert require_any(fine) is fine


def test_packing_loses_as_many_tokens_as_trl_cuts():
    from datasets import Dataset
    from trl import pack_dataset

    lengths = [10, 40, 32, 33, 100]
    table = Dataset.from_dict({"input_ids": [list(range(n)) for n in lengths]})

    def kept(strategy):
        packed = pack_dataset(table, seq_length=32, strategy=strategy)
        return sum(len(row) for row in packed["input_ids"])

    assert truncated_by_packing(lengths, 32) == sum(lengths) - kept("bfd")
    assert kept("bfd_split") == sum(lengths)


def test_fertility_counts_bytes_and_words(tokenizer):
    texts = ["Where is the printer?", "äöü"]
    measured = fertility(texts, tokenizer)
    tokens = sum(len(tokenizer(text)["input_ids"]) for text in texts)
    assert measured.tokens == tokens
    assert measured.bytes_per_token == (21 + 6) / tokens
    assert measured.tokens_per_word == tokens / 5
    with pytest.raises(DataError, match="no words"):
        fertility([" "], tokenizer)
