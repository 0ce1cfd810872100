"""Checks the shape `openai` with the types of messages and tools of OpenAI's own package, and compares the rows with the cases.

    python read_openai.py OUTPUTS [CASES]

The package checks no files of rows. Its types of a chat's messages are turned into a JSON Schema here that refuses keys which it
does not name; what the reference says of rows themselves (their keys, how they end, `weight`) is written down below.
"""

import json
import re

from common import Report
from rows import exact, files_of

from jsonschema import Draft202012Validator
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from pydantic import TypeAdapter


def closed(schema):
    """The schema, with objects that have no other keys than those that are named."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: closed(value) for key, value in schema.items()}
    if "properties" in schema and "additionalProperties" not in schema:
        made["additionalProperties"] = False
    return made


def validator(of, change=lambda schema: None):
    schema = closed(TypeAdapter(of).json_schema())
    change(schema)
    return Draft202012Validator(schema)


def with_weight(schema):
    schema["$defs"]["ChatCompletionAssistantMessageParam"]["properties"]["weight"] = {"enum": [0, 1]}


MESSAGE, TOOL = validator(ChatCompletionMessageParam, with_weight), validator(ChatCompletionToolParam)
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def check(schema, value):
    for error in schema.iter_errors(value):
        raise AssertionError(f"{error.json_path}: {error.message[:200]} in {json.dumps(value)[:300]}")


def check_messages(messages, before=()):
    open_calls = {call["id"] for message in before for call in message.get("tool_calls", ())}
    assert messages, "no message"
    for message in messages:
        check(MESSAGE, message)
        if message["role"] == "tool":
            assert message["tool_call_id"] in open_calls, f"a result of no call: {message}"
        if message["role"] != "assistant":
            continue
        assert message.get("content") is not None or message.get("tool_calls"), f"neither content nor calls: {message}"
        for call in message.get("tool_calls", ()):
            assert isinstance(json.loads(call["function"]["arguments"]), dict), call
            assert NAME.fullmatch(call["function"]["name"]), call
            open_calls.add(call["id"])


def check_tools(holder):
    for tool in holder.get("tools", ()):
        check(TOOL, tool)
        assert NAME.fullmatch(tool["function"]["name"]), tool
    assert holder.get("tools") != [], "an empty list of tools"


def only(found, *keys):
    assert set(found) <= set(keys), f"keys {sorted(set(found) - set(keys))}"


def check_row(kind, row):
    if kind == "preference":
        only(row, "input", "preferred_output", "non_preferred_output")
        only(row["input"], "messages", "tools", "parallel_tool_calls")
        check_tools(row["input"])
        check_messages(row["input"]["messages"])
        assert row["input"]["messages"][-1]["role"] != "assistant"
        for side in ("preferred_output", "non_preferred_output"):
            check_messages(row[side], row["input"]["messages"])
            assert [message["role"] for message in row[side]] == ["assistant"], row[side]
        return
    check_tools(row)
    check_messages(row["messages"])
    if kind == "conversation":
        only(row, "messages", "tools", "parallel_tool_calls")
        assert row["messages"][-1]["role"] == "assistant"
    else:
        assert row["messages"][-1]["role"] in ("user", "developer", "tool")


def said(message):
    """A message as the cases have it."""
    calls = [(call["id"], call["function"]["name"], exact(call["function"]["arguments"])) for call in message.get("tool_calls", ())]
    return message["role"], message["content"] or "", calls, message.get("tool_call_id")


def turn(turn):
    calls = [(call["id"], call["name"], exact(json.dumps(call["arguments"]))) for call in turn.get("calls", ())]
    return turn["role"], turn["text"], calls, turn.get("answers")


def rows(kind, output):
    # Not splitlines: U+2028 and its like are no ends of lines of JSON.
    lines = [line for file in files_of(output.folder)[0] for line in file.read_text("utf-8").split("\n") if line]
    got, expected = [], []
    for line in lines:
        row = json.loads(line)
        row.pop("id", None)
        check_row(kind, row)
        row = exact(line)
        if kind == "preference":
            got.append([[said(m) for m in row["input"]["messages"]], *([said(m) for m in row[s]] for s in ("preferred_output", "non_preferred_output"))])
            tools = row["input"].get("tools", [])
        else:
            got.append([[said(m) for m in row["messages"]], row.get("answer")])
            tools = row.get("tools", [])
        got[-1].append([tool["function"] for tool in tools])
    for case in output.rows:
        if kind == "preference":
            expected.append([[turn(t) for t in case["prompt"]], [turn(case["chosen"])], [turn(case["rejected"])]])
        else:
            expected.append([[turn(t) for t in case["turns" if kind == "conversation" else "prompt"]], case.get("reference")])
        expected[-1].append(exact(json.dumps(case.get("tools") or [])))
    assert sorted(map(repr, got)) == sorted(map(repr, expected)), f"{sorted(map(repr, got))} instead of {sorted(map(repr, expected))}"
    output.check_unfit()
    return f"{len(got)} rows"


if __name__ == "__main__":
    report = Report("openai")
    for kind, output in report.outputs("openai", kinds={"conversation", "preference", "prompt"}):
        report.run(f"{output.recipe}/{output.shape} rows", lambda output, kind=kind: rows(kind, output), output)
    report.close()
