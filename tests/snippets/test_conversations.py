"""Tool calls and thinking lose their loss in known ways; a follow-up can be learned."""

import pytest
from transformers import AutoTokenizer

from snippets import conversations, data, masking, tiny, world


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    tokenizer = AutoTokenizer.from_pretrained(tiny.BASE)
    place = tmp_path_factory.mktemp("lesson") / "rich"
    return conversations.save_with_template(place, tokenizer, conversations.TEMPLATE)


@pytest.fixture(scope="module")
def tokenizer(folder):
    return AutoTokenizer.from_pretrained(folder)


def trained(tokenizer, row):
    return tokenizer.decode([label for label in row.labels if label != -100])


def test_the_template_writes_tools_calls_and_answers_of_tools(tokenizer):
    text = tokenizer.apply_chat_template(
        conversations.with_a_tool(), tools=[conversations.OWNER], tokenize=False
    )
    assert "Answer in one line.\nTools:\n{" in text
    assert '<tool_call>{"name": "owner", "arguments": {"service": "Kestrel"}}' in text
    assert "<|im_start|>tool\nbilling<|im_end|>\n" in text


def test_only_thoughts_after_the_last_question_are_written(tokenizer):
    talk = conversations.with_thinking()
    text = tokenizer.apply_chat_template(talk, tokenize=False)
    assert "Kestrel is a service." not in text
    assert (
        "<think>\nMerlin is one, too.\n</think>\n\nThe search team.<|im_end|>" in text
    )
    first = tokenizer.apply_chat_template(talk[:2], tokenize=False)
    assert "<think>\nKestrel is a service.\n</think>" in first


@pytest.mark.parametrize("count", [2, 4])
def test_a_prompt_is_the_beginning_of_what_is_trained(tokenizer, count):
    talk = conversations.several_turns()[: count + 1]
    whole = tokenizer.apply_chat_template(talk, tokenize=False)
    prompt = tokenizer.apply_chat_template(
        talk[:-1], tokenize=False, add_generation_prompt=True
    )
    assert whole.startswith(prompt)


def test_a_tool_call_without_content_carries_no_loss_in_sft(folder, tokenizer):
    silent = masking.training_hub(folder, conversations.with_a_tool(content=None))
    spoken = masking.training_hub(folder, conversations.with_a_tool(content=""))
    assert trained(tokenizer, silent) == "The billing team.<|im_end|>"
    assert trained(tokenizer, spoken).startswith("<tool_call>")
    assert silent.input_ids == spoken.input_ids


def test_the_end_of_an_answer_that_lost_its_thinking_is_not_trained(folder, tokenizer):
    talk = conversations.with_thinking()
    whole = masking.training_hub(folder, talk)
    assert masking.judge(tokenizer, talk, whole).ends == 1
    alone = trained(tokenizer, masking.training_hub(folder, talk[:2]))
    assert alone == "Kestrel is a service.\n</think>\n\nThe billing team.<|im_end|>"


def test_unmask_trains_the_user_and_neither_system_nor_roles(folder, tokenizer):
    row = conversations.training_hub_unmasked(folder, conversations.several_turns())
    text = trained(tokenizer, row)
    assert text.startswith("Who owns Kestrel?The billing team.<|im_end|>And Merlin?")
    assert "Answer in one line" not in text
    assert "user" not in text


def test_saving_a_template_leaves_the_tokenizer_as_it_was(tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(tiny.BASE)
    before = tokenizer.chat_template
    conversations.save_with_template(tmp_path / "x", tokenizer, conversations.TEMPLATE)
    assert tokenizer.chat_template == before


def test_a_correction_names_another_room_and_keeps_device_and_issue(tmp_path):
    tickets = world.tickets()[:20]
    rows = conversations.corrections(tickets)
    for ticket, row in zip(tickets, rows, strict=True):
        first, sorry, second = (turn["content"] for turn in row["messages"][1:])
        assert ticket.room in first
        assert ticket.room not in sorry
        room = sorry.removeprefix("Sorry, it is in room ").removesuffix(".")
        assert second == first.replace(ticket.room, room)
    assert len(data.read_chat(data.write_jsonl(tmp_path / "rows.jsonl", rows))) == 20
