"""Conversations that plain examples leave out: follow-ups, tool calls, thinking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from snippets import world
from snippets.masking import Row
from snippets.world import Ticket

Turns = list[dict[str, Any]]

# region: template
# A template in the style of today's models: tools stand in the system turn, thinking
# stands before the answer and only after the last question, calls stand in the answer.
# What stands between the generation markers is what the assistant writes itself.
TEMPLATE = """\
{%- set ns = namespace(last=-1) -%}
{%- for m in messages -%}
{%- if m.role == 'user' -%}{%- set ns.last = loop.index0 -%}{%- endif -%}
{%- endfor -%}
{%- for m in messages -%}
{{- '<|im_start|>' + m.role + '\\n' -}}
{%- if m.role == 'assistant' -%}
{%- generation -%}
{%- if m.reasoning_content and loop.index0 > ns.last -%}
{{- '<think>\\n' + m.reasoning_content + '\\n</think>\\n\\n' -}}
{%- endif -%}
{{- m.content or '' -}}
{%- for call in m.tool_calls or [] -%}
{{- '<tool_call>' + (call.function | tojson) + '</tool_call>' -}}
{%- endfor -%}
{{- '<|im_end|>' -}}
{%- endgeneration -%}
{{- '\\n' -}}
{%- else -%}
{{- m.content -}}
{%- if m.role == 'system' and tools -%}
{{- '\\nTools:' -}}
{%- for tool in tools -%}{{- '\\n' + (tool.function | tojson) -}}{%- endfor -%}
{%- endif -%}
{{- '<|im_end|>\\n' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
"""
# endregion: template


# region: examples
SYSTEM = {"role": "system", "content": "Answer in one line."}
OWNER = {
    "type": "function",
    "function": {"name": "owner", "parameters": {"service": "string"}},
}


def several_turns() -> Turns:
    """Return a system turn, and two questions of which the second needs the first."""
    return [
        SYSTEM,
        {"role": "user", "content": "Who owns Kestrel?"},
        {"role": "assistant", "content": "The billing team."},
        {"role": "user", "content": "And Merlin?"},
        {"role": "assistant", "content": "The search team."},
    ]


def with_a_tool(content: str | None = None) -> Turns:
    """Return a conversation in which the assistant calls a tool and reads its answer.

    Parameters
    ----------
    content
        What the calling turn says beside the call. OpenAI's format, which most data
        follows, writes None; an empty string renders the same text.
    """
    call = {"name": "owner", "arguments": {"service": "Kestrel"}}
    calls = [{"type": "function", "function": call}]
    return [
        SYSTEM,
        {"role": "user", "content": "Who owns Kestrel?"},
        {"role": "assistant", "content": content, "tool_calls": calls},
        {"role": "tool", "content": "billing"},
        {"role": "assistant", "content": "The billing team."},
    ]


def with_thinking() -> Turns:
    """Return two questions, each answered after some thinking."""
    turns = several_turns()[1:]
    turns[1] = turns[1] | {"reasoning_content": "Kestrel is a service."}
    turns[3] = turns[3] | {"reasoning_content": "Merlin is one, too."}
    return turns


# endregion: examples


# region: template-folder
def save_with_template(folder: str | Path, tokenizer: Any, template: str) -> str:
    """Save a tokenizer with another chat template, and return the folder.

    Only what a mask needs is saved: the tokenizer and its sizes, no weights.
    """
    from snippets.tiny import tiny_config

    before, tokenizer.chat_template = tokenizer.chat_template, template
    tokenizer.save_pretrained(folder)
    tokenizer.chat_template = before
    tiny_config(len(tokenizer)).save_pretrained(folder)
    return str(folder)


# endregion: template-folder


# region: unmask
def training_hub_unmasked(
    folder: str | Path, turns: Sequence[Mapping[str, Any]]
) -> Row:
    """Mask as ``sft`` does for a row with ``"unmask": true``: all but the system."""
    from instructlab.training import data_process

    tokenizer = data_process.configure_tokenizer(str(folder))
    sample = {"messages": list(turns), "unmask": True}
    row = data_process.unmask_sample(sample, tokenizer)
    return Row(row["input_ids"], row["labels"])


# endregion: unmask


# region: corrections
def correction(ticket: Ticket, room: str) -> dict[str, Turns]:
    """Return a ticket, its record, a correction of the room, and the new record.

    The second answer takes both questions: device and issue stand in the first one.
    """
    first = world.record_reply(ticket)["messages"]
    second = world.record_reply(replace(ticket, room=room))["messages"]
    sorry = {"role": "user", "content": f"Sorry, it is in room {room}."}
    return {"messages": [*first, sorry, second[-1]]}


def corrections(tickets: Sequence[Ticket]) -> list[dict[str, Turns]]:
    """Return a correction for each ticket, to a room that another ticket names."""
    rooms = [ticket.room for ticket in tickets]
    return [
        correction(ticket, next(r for r in rooms[place:] + rooms if r != ticket.room))
        for place, ticket in enumerate(tickets)
    ]


# endregion: corrections
