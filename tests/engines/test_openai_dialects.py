"""What endpoints send that is not quite OpenAI's, read as it is meant: chunks, errors, ends, lists of models."""

from __future__ import annotations

import contextlib
import gzip
import json
import zlib
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st
from tests.endpoint import DONE, event, usage

from taskpace.engines.openai import answer, chunks
from taskpace.engines.openai.answer import Reader
from taskpace.engines.openai.chunks import REASONING_FIELDS, read_chunks
from taskpace.engines.openai.complaint import complaint, complaint_of, refusal
from taskpace.engines.openai.fields import own_fields, remedy, shaped
from taskpace.engines.openai.finish import meaning
from taskpace.engines.openai.http.coding import plain, unpacked
from taskpace.engines.openai.http.target import base_path, read_url
from taskpace.engines.openai.loose import Halves, read_json
from taskpace.engines.openai.models import beside, names_of, some_of
from taskpace.engines.openai.options import Options
from taskpace.errors import EngineError, ExperimentError

URL = "http://localhost:8000/v1"


def read(*arrivals: bytes, whole: bool = False):
    """The generation of pieces that arrived one after the other."""
    reader = Reader()
    (reader.whole if whole else reader.stream)((number * 10, data) for number, data in enumerate(arrivals))
    return reader.generation()


def data(value: object) -> bytes:
    return b"data: " + (value if isinstance(value, bytes) else json.dumps(value).encode()) + b"\n\n"


def choice(finish: str | None = None, **fields: object) -> bytes:
    return data({"choices": [{"index": 0, "finish_reason": finish, **fields}]})


YES, STOP = event("Yes."), event(finish="stop")
HARMLESS: dict[str, tuple[bytes, ...]] = {
    "Azure's first chunk": (data({"id": "", "choices": [], "prompt_filter_results": [{}]}), YES, STOP, DONE),
    "no choices": (data({"choices": None}), YES, data({"choices": None, "usage": None}), STOP, DONE),
    "no index": (choice(index=None, delta={"content": "Yes."}), choice("stop", index=None), DONE),
    "numbered from 1": (choice(index=1, delta={"content": "Yes."}), choice("stop", index=1), DONE),
    "no delta": (choice(delta=None), YES, choice("stop", delta=None), DONE),
    "null where text is": (choice(delta={"content": None, "refusal": None}), YES, STOP, DONE),
    "nothing as data": (b"data:\n\ndata: \n\n", YES, b"data: null\n\n", data({}), data([]), STOP, DONE),
    "a ping": (data({"type": "ping"}), b"event: ping\n\n", b": OPENROUTER PROCESSING\n\n", YES, STOP, DONE),
    "NaN where nobody reads": (YES, data(b'{"choices": [], "t": [NaN, -Infinity, 1e999]}'), STOP, DONE),
    "halves of a character": (data(b'{"choices":[{"delta":{"content":"Yes."}}]}'), STOP),
    "a filter's verdict beside the text": (YES, choice(delta={}, content_filter_results={"hate": {}}), STOP, DONE),
    "typed parts": (choice(delta={"content": [{"type": "text", "text": "Yes"}, {"type": "text", "text": "."}]}), STOP),
    "a part that nests": (choice(delta={"content": [{"type": "text", "text": {"value": "Yes."}}]}), STOP),
    "a single part": (choice(delta={"content": {"type": "output_text", "text": "Yes."}}), STOP),
    "a part without text": (choice(delta={"content": [{"type": "reference", "reference_ids": [1]}]}), YES, STOP),
    "an empty list": (choice(delta={"content": []}), YES, STOP),
    "a refusal": (choice(delta={"refusal": "Yes."}), STOP),
    "the message once more": (event("Ye"), event("s."), choice("stop", delta={}, message={"content": "Yes."})),
    "the message only at the end": (choice(delta={"role": "assistant"}), choice("stop", message={"content": "Yes."})),
    "a message that grows": (*(choice(message={"content": text}) for text in ("Y", "Ye", "Yes.")), STOP),
    "a completion after the chunks": (YES, choice("stop", message={"role": "assistant", "content": "Yes."}), DONE),
    "a reason twice": (YES, STOP, choice("stop", delta={"content": ""}), usage(2), DONE),
    "no reason, but the end": (YES, usage(2), DONE),
    "no empty lines": (YES.strip() + b"\n" + STOP.strip() + b"\ndata: [DONE]\n",),
    "lines that were forwarded": (b"data: " + YES, b"data: " + STOP, DONE),
    "the end in quotes": (YES, STOP, b'data: "[DONE]"\n\n'),
    "carriage returns": tuple(each.replace(b"\n", b"\r") for each in (YES, STOP, DONE)),
    "gzip": (gzip.compress(YES + STOP + DONE),),
    "gzip, a member for each event": tuple(map(gzip.compress, (YES, STOP, DONE))),
    "deflate": (zlib.compress(YES + STOP + DONE),),
}  # fmt: skip


@pytest.mark.parametrize("case", HARMLESS)
def test_harmless_differences_change_nothing(case):
    """However a dialect says it, the answer is ``Yes.`` and nothing is wrong with it."""
    found = read(*HARMLESS[case])
    assert (found.text, found.reasoning, found.failure) == ("Yes.", "", None)


WRONG: dict[str, tuple[tuple[bytes, ...], str, str]] = {
    "two choices": ((event("a"), choice(index=1, delta={"content": "b"})), "several-choices", "n = 1"),
    "two choices without numbers": ((data({"choices": [{"text": "a"}, {"text": "b"}]}),), "several-choices", "n = 1"),
    "text that is none": ((choice(delta={"content": 7}),), "bad-event", "content is not text"),
    "choices that are none": ((data({"choices": 7}),), "bad-event", "choices are not a list"),
    "an event that is none": ((data("ping"),), "bad-event", "not an object"),
    "OpenRouter, in the stream": ((YES, data({"error": {"code": 502, "message": "Provider returned error",
                                   "metadata": {"raw": "overloaded"}}, "choices": [{"finish_reason": "error"}]})),
                                  "server-error", "Provider returned error: overloaded"),
    "an error within a choice": ((choice(error={"message": "no memory"}),), "server-error", "no memory"),
    "llama.cpp before 2026": ((b'error: {"code":400,"message":"exceeds the context"}\n\n', DONE), "server-error",
                              "exceeds the context"),
    "vLLM before 2025": ((YES, data({"object": "error", "message": "no room"})), "server-error", "no room"),
    "TGI": ((data({"error": "Request failed", "error_type": "generation"}),), "server-error", "Request failed"),
    "Anthropic": ((b"event: error\n" + data({"type": "error", "error": {"message": "Overloaded"}}),), "server-error",
                  "Overloaded"),
    "words under another name": ((data({"code": "overloaded", "msg": "Too busy"}),), "server-error", "Too busy"),
    "words that are no JSON": ((b"event: error\ndata: Too busy\n\n",), "bad-event", "Too busy"),
    "an error as it stands": ((b'{"error": {"message": "Too\\nbusy"}}',), "server-error", "Too busy"),
    "Gemini": ((b'[{"error": {"code": 400, "message": "Unknown name"}}]',), "server-error", "Unknown name"),
    "an indented error": ((json.dumps({"error": {"message": "busy"}}, indent=2).encode(),), "server-error", "busy"),
    "an error after the events": ((YES, b'{"error": "worker gone"}\n\n'), "server-error", "worker gone"),
    "a page among the events": ((YES, b"<html><b>502</b> Bad Gateway</html>\n\n"), "server-error", "502 Bad Gateway"),
    "a whole answer": ((json.dumps({"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}]}).encode(),),
                       "content-type", "set stream = false"),
    "nothing but the end": ((DONE,), "empty", "no event"),
    "no word and no reason": ((event(""), DONE), "empty", "no finish_reason"),
    "no end": ((YES,), "cut", "no finish_reason"),
    "a reason of another kind": ((YES, event(finish="SAFETY")), "finish-reason", "SAFETY"),
    "a reason that is none": ((YES, choice({"type": "stop"}, delta={})), "finish-reason", "type"),
    "a bomb": ((gzip.compress(bytes(65 * 1024 * 1024)),), "too-long", "once unpacked"),
    "gzip that breaks off": ((gzip.compress(YES + STOP)[:12],), "empty", "no event"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_keeps_the_server_s_words(case):
    """An error has its kind and its words, wherever in the answer a dialect puts it."""
    pieces, kind, told = WRONG[case]
    failure = read(*pieces).failure
    assert failure is not None
    assert (failure.kind, "\n" in str(failure)) == (kind, False)
    assert told in str(failure)


def test_a_whole_answer_is_read_as_what_came():
    """With ``stream = false`` an answer counts however it comes: as JSON, in typed parts, as a stream all the same."""
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": "Yes."}]
    said = {"choices": [{"message": {"content": parts}, "finish_reason": "stop"}]}
    whole = read(json.dumps(said).encode(), whole=True)
    streamed = read(YES, STOP, DONE, whole=True)
    without_reason = read(b'{"choices": [{"message": {"content": "Yes."}}]}', whole=True)
    assert (whole.text, whole.reasoning) == ("Yes.", "Hm.")
    for found in (whole, streamed, without_reason):
        assert (found.text, found.arrivals, found.finish_ns, found.failure) == ("Yes.", (), None, None)


def test_an_end_without_a_reason_is_stamped_where_it_came():
    """``[DONE]`` stands for the end when no reason came; a reason has its own stamp, the first that came."""
    assert read(YES, DONE).finish_ns == 10
    assert read(YES, DONE).finish_reason is None
    assert read(YES, STOP, STOP, DONE).finish_ns == 10


@pytest.mark.parametrize(
    ("reasons", "meant"),
    [
        (("stop", "STOP", "eos", "eos_token", "eosFound", "stop_sequence", "end_turn", "COMPLETE", "FinishReason.STOP",
          "FINISH_REASON_STOP", " Stop "), "stop"),
        (("length", "max_tokens", "MAX_TOKENS", "model_length", "FinishReason.MAX_TOKENS", "maxPredictedTokensReached",
          "contextLengthReached", "limit", "max-tokens", "REASON_MAX_LEN", "model_context_window_exceeded"), "length"),
        (("content_filter", "tool_calls", "SAFETY", "error", "abort", "refusal", "", "reason", "1"), None),
    ],
)  # fmt: skip
def test_ends_have_one_meaning_in_every_dialect(reasons, meant):
    """The table of finish reasons, whatever their case and the enumeration before them."""
    assert {reason: meaning(reason) for reason in reasons} == dict.fromkeys(reasons, meant)


@given(st.text(), st.lists(st.integers(0, 40), max_size=6))
def test_characters_are_whole_however_their_halves_are_cut(text, cuts):
    """JSON's escapes of one text, cut between any two, give the text; a half alone is not a character."""
    units = text.encode("utf-16-le", "surrogatepass")
    places = sorted({0, len(units), *(2 * cut for cut in cuts if 2 * cut < len(units))})
    halves = Halves()
    pieces = [units[a:b].decode("utf-16-le", "surrogatepass") for a, b in pairwise(places)]
    assert "".join(map(halves.feed, pieces)) + halves.end() == text
    assert (halves.feed("\ude00a"), halves.feed("\ud83d"), halves.end()) == ("\ufffda", "", "\ufffd")


@given(st.lists(st.binary(max_size=30), max_size=8), st.sampled_from(["gzip", "zlib", "plain"]), st.integers(1, 9))
def test_a_body_is_unpacked_wherever_it_is_cut(pieces, how, size):
    """A packed body gives what was packed, in order, from any pieces; one that is not packed is left alone."""
    body = b"data: " + b"".join(pieces)
    sent = {"gzip": gzip.compress, "zlib": zlib.compress, "plain": bytes}[how](body)
    cut = [(n, sent[n : n + size]) for n in range(0, len(sent), size)]
    assert b"".join(found for _, found in plain(cut, 1000)) == body
    assert unpacked(sent, 1000) == body
    if how != "plain":
        with pytest.raises(EngineError, match="longer than 3 bytes"):
            list(plain(cut, 3))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["choices", "delta", "message", "content", "text", "type", "index", "finish_reason", "usage",
                         "error", "code", "detail", "loc", "msg", "param", "metadata", "raw", "data", "id", "name"]),
        inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(values)
def test_any_json_is_read_or_refused(value):
    """Whatever JSON comes as a chunk, an answer, an error or a list of models: a result, or an error of ours."""
    sent = json.dumps(value).encode()
    for found in (read(data(sent), DONE), read(sent), read(sent, whole=True)):
        found.text.encode()
        str(found.failure).encode()
    said = complaint_of(sent)
    assert len(said.text.splitlines()) <= 1
    assert all(isinstance(name, str) for name in names_of(sent) or [])


def some_of_it(**values: object):
    """An object with any of these; null in place of each."""
    return st.fixed_dictionaries({}, optional={name: st.none() | st.just(value) for name, value in values.items()})


usual = some_of_it(content="a", refusal="b", role="assistant", **{name: name for name in REASONING_FIELDS})


def event_of(choice, said, delta, beside, count):
    choice |= {name: value and delta for name, value in said.items()}
    return data({"choices": [choice] * count} | beside)


any_event = st.builds(
    event_of,
    some_of_it(index=1, text="c", finish_reason="stop", error="no", usage={"total_tokens": 3}),
    some_of_it(delta=1, message=1),
    usual,
    some_of_it(usage={"total_tokens": 3}, error="no", object="error", x_groq={"usage": {"total_tokens": 3}}),
    st.integers(0, 2),
)
text_event = st.builds(
    lambda index, text: choice(index=index, delta=text),
    st.sampled_from([None, 0, 1]),
    some_of_it(content="\ud83d", reasoning="\ude00", reasoning_content="a") | some_of_it(content="Yes and no, or so"),
)
others = st.sampled_from([DONE, STOP, b": ping\n\n", b"data: {\n\n", b"data: a\ndata: b\n\n", choice("stop", delta={})])


@given(
    st.lists(any_event | text_event | others, max_size=8), st.lists(st.integers(0, 900), max_size=4), st.integers(1, 9)
)
def test_the_usual_events_are_read_like_any_other(events, cuts, at_once):
    """The quick way for events as nearly all are gives what the slow one gives, in any company, however cut."""
    stream = b"".join(events)
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    pieces = [stream[start:end] for start, end in pairwise(places)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "_AT_ONCE", at_once)
        found = read(*pieces)
        patch.setattr(answer, "read_texts", lambda events: [None] * len(events))
        expected = read(*pieces)
    assert repr(found) == repr(expected)


@pytest.mark.parametrize(
    "sent",
    [b"", b"{", b"\xff", b"[" * 9000, b"1" * 9000, b'{"a":' * 3000, b'"\\ud83d"', b"NaN",
     b'{"error": %b}' % (b"9" * 5000), b'{"choices": [{"index": %b}]}' % (b"9" * 5000)],
)  # fmt: skip
def test_no_json_is_a_traceback(sent):
    """Nesting, digits and bytes without a meaning are errors with a word, as a chunk and as an error page."""
    with contextlib.suppress(ValueError):
        read_json(sent)
    with contextlib.suppress(EngineError):
        list(read_chunks(sent))
    complaint_of(sent).text.encode()


SAID = [
    ({"error": {"message": "Unsupported parameter: 'seed'", "param": "seed", "code": "unsupported_parameter"}},
     "Unsupported parameter: 'seed'", ("seed",), None),
    ([{"error": {"code": 400, "message": 'Unknown name "seed": Cannot find field.', "status": "INVALID_ARGUMENT"}}],
     'Unknown name "seed": Cannot find field.', (), 400),
    ({"object": "error", "message": {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra"}]}},
     "Extra: body.seed", ("seed",), None),
    ({"object": "error", "message": '{"detail":[{"loc":["body","seed"],"msg":"Extra"}]}'},
     "Extra: body.seed", ("seed",), None),
    ({"detail": "Not authenticated"}, "Not authenticated", (), None),
    ({"error": "model 'x' not found"}, "model 'x' not found", (), None),
    ({"code": "invalid-argument", "error": "Model x does not support parameter stop"},
     "Model x does not support parameter stop", (), None),
    ({"error": {"code": "429", "message": " slow\n down "}}, "slow down", (), 429),
    ({"error": {}}, '{"error":{}}', (), None),
    ({}, "", (), None),
    ({"a": 1}, '{"a":1}', (), None),
    ("plain words", "plain words", (), None),
]  # fmt: skip


@pytest.mark.parametrize(("value", "text", "fields", "status"), SAID)
def test_words_fields_and_status_of_an_error(value, text, fields, status):
    """What is said, which fields it names, and a status that stands in the body, in the shapes that servers use."""
    assert complaint(value) == (text, status, fields)


@pytest.mark.parametrize(
    ("status", "text", "expected"),
    [
        (401, "Incorrect API key", "always"), (403, "forbidden", "always"), (404, "no such model", "always"),
        (402, "", "always"), (308, "", "always"), (501, "", "always"), (405, "", "always"),
        (429, "You exceeded your current quota, please check your plan", "always"),
        (400, "max_tokens is too large: 20000", "perhaps"),
        (400, "Unsupported parameter: 'top_p'", "perhaps"), (422, "Extra inputs are not permitted", "perhaps"),
        (400, "This model's maximum context length is 4096 tokens", None), (413, "prompt is too long", None),
        (400, "The response was filtered due to the prompt triggering content management policy", None),
        (403, "your input was flagged", None), (429, "slow down", None), (408, "", None), (500, "", None),
        (503, "loading", None), (529, "overloaded", None),
        (429, "Rate limit reached. Increase it by adding a payment method at https://a.example/account/billing", None),
        (429, "You exceeded your current quota, please check your billing details. Please retry in 38.5s", None),
        (429, "You exceeded your current quota, please check your plan and billing details.", "always"),
        (429, "insufficient_quota", "always"), (429, "Your account is not active, please check your billing", "always"),
        (503, "Temporarily out of capacity. See billing page", None), (503, "insufficient funds", None),
        (400, "Your credit balance is too low to access the API. Please go to Plans & Billing", "always"),
        (400, "Billing hard limit has been reached", "always"),
        (400, "max_tokens must be less than the model's context_window", "perhaps"),
        (400, "'max_tokens' or 'max_completion_tokens' is too large: 9. The maximum context length is 4", "perhaps"),
        (400, "maxOutputTokens exceeds the limit of output tokens", "perhaps"),
        (404, "The model nemoguard-content-safety does not exist", "always"),
        (400, "The model nemoguard-content-safety does not exist", "perhaps"),
        (401, "Guardrail service: invalid api key", "always"), (400, "Guardrail: invalid API key", "perhaps"),
        (402, "content policy plan not paid", "always"),
        (403, "Your account has been flagged", "always"), (403, "organization suspended by moderation", "always"),
        (400, "Your input was flagged by moderation", None), (400, "Input is too long for requested model", None),
        (400, "The maximum context length is 9 tokens, you asked for 12 (9 in your prompt, 3 beyond)", None),
    ],
)  # fmt: skip
def test_which_refusals_will_come_again(status, text, expected):
    """Keys, addresses and quotas for certain; the request's shape perhaps; overload and single prompts not."""
    assert refusal(status, complaint(text)) == expected


def test_a_field_that_is_named_beside_the_words_counts():
    """OpenAI's ``param``: the words alone would be of one prompt."""
    said = complaint({"error": {"message": "too many for the context window", "param": "max_tokens"}})
    assert refusal(400, said) == "perhaps"


@pytest.mark.parametrize(
    ("options", "said", "advice"),
    [
        ({}, "Unsupported parameter: 'top_p'", 'omit = ["top_p"]'),
        ({"omit": ["seed"]}, "Unsupported parameter: 'top_p'", 'omit = ["seed", "top_p"]'),
        ({}, "temperature and top_p cannot both be specified for this model", 'omit = ["top_p"]'),
        ({}, 'Invalid JSON payload received. Unknown name "seed": Cannot find field.', 'omit = ["seed"]'),
        ({}, {"detail": [{"loc": ["body", "stop"], "msg": "Extra inputs are not permitted"}]}, 'omit = ["stop"]'),
        ({}, {"error": "Argument not supported on this model: stop"}, 'omit = ["stop"]'),
        ({}, {"error": "Input validation error: `top_p` must be > 0.0 and < 1.0"}, 'omit = ["top_p"]'),
        ({}, "max_tokens is too large: 20000. This model supports at most 16384", "lower max_tokens"),
        ({}, "Unknown parameter: 'stream_options'", "usage = false"),
        ({}, "'stream' is not supported", "stream = false"),
        ({}, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
         'max_tokens_field = "max_completion_tokens"'),
        ({"reasoning_effort": "low"}, "Unrecognized request argument: reasoning_effort", "take reasoning_effort"),
        ({"prompt_cache": "vllm"}, "Extra field 'cache_salt'", 'prompt_cache = "server"'),
        ({"body": {"top_k": 3}}, "Unknown field 'top_k'", 'take "top_k" out of body'),
        ({"rename": {"seed": "random_seed"}}, "Extra inputs: 'random_seed'", 'omit = ["seed"]'),
        ({}, "Something is wrong", None),
    ],
)  # fmt: skip
def test_a_refused_field_has_its_remedy(options, said, advice):
    """The option that does without a field, by the server's own words; nothing where it names none of ours."""
    found = remedy(complaint(said), Options(url=URL, **options))
    assert (found is None) if advice is None else advice in found


@given(st.sets(st.sampled_from(own_fields(Options(url=URL)))), st.booleans())
def test_fields_are_left_out_and_renamed(omitted, rename):
    """What is left out is not there, what is renamed has the other name, and nothing else changes."""
    whole = dict.fromkeys(("model", "max_tokens", "temperature", "top_p", "seed", "messages"), 1)
    renamed = {"seed": "random_seed"} if rename and "seed" not in omitted else {}
    body = shaped(dict(whole), Options(url=URL, omit=sorted(omitted), rename=renamed))
    assert body == {renamed.get(name, name): 1 for name in whole if name not in omitted}


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({"object": "list", "data": [{"id": "a"}, {"id": "b"}]}, ["a", "b"]),
        ([{"id": "a"}], ["a"]), (["a", "b"], ["a", "b"]), ({"models": [{"name": "models/a"}]}, ["models/a"]),
        ({"data": [{"model": "a"}, 7, None, {"id": ""}]}, ["a"]), ({"data": []}, []), ({"data": "a"}, None),
        ("a", None),
        ({"data": [{"id": "a\nb"}]}, ["a b"]),
    ],
)  # fmt: skip
def test_lists_of_models_in_every_form(body, names):
    """OpenAI's form, bare lists, names without a table; what is not a list is none, and nothing of it is an error."""
    assert names_of(json.dumps(body).encode()) == names


def test_a_name_that_is_not_listed_is_told_from_those_that_are():
    """A name like it, or a few of many; nothing where it is listed or there is no list."""
    assert beside("gemini-2.5-flash", ["models/gemini-2.5-flash"]) == ' (did you mean "models/gemini-2.5-flash"?)'
    assert beside("assistant", ["qwen3"]) == " (it lists qwen3)"
    assert beside("a", ["a"]) == beside("a", []) == ""
    assert some_of([str(number) for number in range(400)]).endswith("8, 9 and 390 more")


def test_where_a_redirect_leads_is_told_without_secrets():
    """Host and path, with the base URL that it makes; neither names, passwords nor parameters."""
    target = read_url("http://a.example/v1")
    told, base = target.redirected("https://me:pw@b.example:444/api/v1/chat/completions?key=1#x")
    assert (told, base) == ("https://b.example:444/api/v1/chat/completions", "https://b.example:444/api/v1")
    assert target.redirected("/login") == ("http://a.example/login", None)
    assert target.redirected("http://[") == ("an address that is none", None)


def test_an_address_is_written_as_it_is_sent():
    """Names in IDNA, paths escaped, parameters behind every path; what requests add by themselves is not a base."""
    target = read_url("http://例え.test:81/模型/v1/?api-version=2024-10-21&x=é")
    assert (target.host, target.path) == ("xn--r8jz45g.test", "/%E6%A8%A1%E5%9E%8B/v1")
    assert target.with_query("a=1").at("/models") == f"{target.path}/models?api-version=2024-10-21&x=%C3%A9&a=1"
    assert read_url("http://a/v1").with_query("").at("/models") == "/v1/models"
    assert [base_path(path) for path in ("/v1/chat/completions", "/v1/completions/", "/v1")] == ["/v1", "/v1", None]
    for url in ("http://a..b/v1", f"http://{'a' * 64}/v1"):
        with pytest.raises(ExperimentError):
            read_url(url)


@pytest.mark.parametrize(
    "name",
    ["Api_Key", "key", "auth", "secret", "client_secret", "access_key", "x-api-key", "api_token", "pass", "password",
     "pwd", "authorization", "sig", "X-Amz-Signature", "X-Amz-Credential", "subscription-key", "code", "jwt"],
)  # fmt: skip
def test_a_key_in_the_address_is_refused_with_the_remedy(name):
    """Whatever else the parameter's name has; what it holds is not repeated."""
    with pytest.raises(ExperimentError, match="may be a key: write query = ") as caught:
        read_url(f"https://a.example/v1?api-version=1&{name}=hunter2")
    assert "hunter2" not in str(caught.value)


def test_parameters_that_are_no_keys_stay():
    """Versions, regions, and a code that is a word of the name only."""
    query = "api-version=2024-10-21&region=eu&model_code=7&deployment=x"
    assert read_url(f"https://a.example/v1?{query}").query == query


def test_many_empty_members_are_bounded():
    """A body may be one member for each event, and no more than that; of an error not even that many are looked at."""
    empty, last = gzip.compress(b"", mtime=0), gzip.compress(b"end", mtime=0)
    assert unpacked(empty * 2000 + last, 9) == b"end"
    assert unpacked(empty * 5000 + last, 9) == b""
    with pytest.raises(EngineError, match="parts"):
        list(plain([(0, empty * 50_000)] * 5, 9))
