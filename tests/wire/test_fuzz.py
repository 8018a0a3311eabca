"""One contract for every parser of what strangers and peers send: accept, or raise what is documented."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paglets.remote.wire import frames
from paglets.remote.wire.addresses import Endpoint, host_url, parse_host_url, split_resource_url
from paglets.remote.wire.failures import error_of_body
from paglets.remote.wire.reports import error_of

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
requests = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | json_values,
        "method": st.text() | json_values,
        "id": st.integers() | st.text() | json_values,
        "params": json_values,
        "result": json_values,
        "error": st.fixed_dictionaries(
            {}, optional={"code": json_values, "message": json_values, "data": json_values}
        ),
        "moved_to": json_values,
    },
)
bytes_of_all_kinds = st.binary() | st.one_of(json_values, requests).map(msgspec.json.encode)


def mangled(data: bytes) -> st.SearchStrategy[bytes]:
    return st.tuples(st.integers(0, len(data)), st.binary(max_size=3)).map(
        lambda cut: data[: cut[0]] + cut[1] + data[cut[0] :]
    )


@given(bytes_of_all_kinds | bytes_of_all_kinds.flatmap(mangled))
def test_requests(data: bytes) -> None:
    try:
        request = frames.decode_request(data)
    except frames.FrameError as error:
        frames.encode_error(error.request_id, error.code, str(error))
        return
    assert request.jsonrpc == "2.0"
    frames.one_json_value(request.params)


@given(bytes_of_all_kinds | bytes_of_all_kinds.flatmap(mangled))
def test_answers(data: bytes) -> None:
    try:
        answer = frames.decode_answer(data)
    except frames.FrameError:
        return
    assert isinstance(answer.method, str)


@given(bytes_of_all_kinds)
def test_reports(data: bytes) -> None:
    try:
        str(error_of(data))
    except ValueError:
        return


@given(st.integers(100, 599), bytes_of_all_kinds)
def test_error_bodies(status: int, body: bytes) -> None:
    assert str(error_of_body("https://x:1", status, body))


@given(bytes_of_all_kinds | bytes_of_all_kinds.flatmap(mangled))
def test_what_is_spliced_is_one_json_value(data: bytes) -> None:
    """A raw ``{}, "to": "victim"`` must not rewrite the frame around it."""
    try:
        checked = frames.one_json_value(data)
    except ValueError:
        return
    frame = frames.encode_result(1, checked)
    decoded = msgspec.json.decode(frame, type=dict[str, msgspec.Raw])
    assert set(decoded) == {"jsonrpc", "id", "result"}
    assert bytes(decoded["result"]).strip() == data.strip()


@given(st.integers(0), st.text(), json_values)
def test_requests_survive_the_way(request_id: int, method: str, params: Any) -> None:
    raw = msgspec.json.encode(params)
    request = frames.decode_request(frames.encode_request(frames.request_prefix(method), request_id, raw))
    assert (request.id, request.method, bytes(request.params)) == (request_id, method, raw)


@given(st.integers() | st.text(max_size=64) | st.none(), st.integers(), st.text())
def test_errors_survive_the_way(request_id: int | str | None, code: int, message: str) -> None:
    answer = frames.decode_answer(frames.encode_error(request_id, code, message))
    assert answer.error is not None
    assert (answer.id, answer.error.code, answer.error.message) == (request_id, code, message)


@given(st.text() | st.text().map("https://".__add__) | st.text().map("unix:/".__add__))
def test_urls(url: str) -> None:
    for parse in (parse_host_url, split_resource_url):
        try:
            parse(url)
        except ValueError:
            continue


@given(st.ip_addresses().map(str), st.integers(1, 65535))
def test_addresses_become_urls_and_back(host: str, port: int) -> None:
    assert parse_host_url(host_url(host, port)) == Endpoint(host, port)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "http://x:1",
        "https://",
        "https://x:0",
        "https://x:99999",
        "https://x/path",
        "https://u@x",
        "unix:x",
    ],
)
def test_what_is_no_host_url_is_refused_with_a_sentence(url: str) -> None:
    with pytest.raises(ValueError, match=r"no host URL|no Unix socket"):
        parse_host_url(url)


def test_resources_are_told_from_hosts() -> None:
    assert split_resource_url("https://x:1/agents?a=b") == ("https://x:1", "/agents?a=b")
    assert split_resource_url("unix:/run/a.sock/agents/1") == ("unix:/run/a.sock", "/agents/1")
    for url in ("https://x:1", "unix:/run/a.sock", "https://x:1/a b", "https://x:1/\r\nX: y"):
        with pytest.raises(ValueError, match=r"names no resource|percent-encoded"):
            split_resource_url(url)
