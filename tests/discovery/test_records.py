"""mDNS records as strangers may write them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.discovery.network import multicast_addresses
from edge.discovery.records import MAX_ADDRESSES, SERVICE_TYPE, instance_label, read_hints, txt_properties
from edge.discovery.resolver import MAX_PENDING, Resolver
from paglets.remote.discovery import AddressHint, Advertisement
from paglets.runtime.bind_addresses import reachable_addresses

OWN = Advertisement("own-host", "mesh", "alpha", 8765)
OTHER = Advertisement("other-host", "mesh", "beta", 9999)


def wire(advertisement: Advertisement) -> dict[bytes, bytes | None]:
    """The TXT record as it arrives."""
    properties = txt_properties(advertisement).items()
    return {str(key).encode(): str(value).encode() for key, value in properties}


def test_a_host_of_our_mesh_is_a_hint_for_each_of_its_addresses() -> None:
    hints = read_hints(
        OWN, wire(OTHER), 9999, ["10.0.0.2", "fd00::2", "fe80::1", "0.0.0.0", "224.0.0.251", "x"]
    )

    assert hints == (
        AddressHint("https://10.0.0.2:9999", "other-host"),
        AddressHint("https://[fd00::2]:9999", "other-host"),
    )


def test_others_are_passed_over() -> None:
    good = wire(OTHER)
    for changes in (
        {b"mesh": b"another"},
        {b"id": b"own-host"},
        {b"id": b""},
        {b"id": None},
        {b"id": b"\xff"},
        {b"id": b"a\nb"},
        {b"id": b"x" * 201},
        {b"v": b"2"},
        {b"filler": b"x" * 1100},
    ):
        assert read_hints(OWN, {**good, **changes}, 9999, ["10.0.0.2"]) == ()
    for port in (None, 0, 65536, -1):
        assert read_hints(OWN, good, port, ["10.0.0.2"]) == ()


@given(
    properties=st.dictionaries(st.binary(max_size=20), st.none() | st.binary(max_size=300), max_size=20),
    port=st.none() | st.integers(),
    addresses=st.lists(st.text(max_size=50) | st.ip_addresses().map(str), max_size=50),
    genuine=st.booleans(),
)
def test_whatever_arrives_is_at_most_a_few_hints(
    properties: dict[bytes, bytes | None], port: int | None, addresses: list[str], *, genuine: bool
) -> None:
    if genuine:
        properties = {**properties, **wire(OTHER)}
    hints = read_hints(OWN, properties, port, addresses)

    assert len(hints) <= MAX_ADDRESSES
    for hint in hints:
        assert hint.url.startswith("https://")
        assert hint.host_id == "other-host"


@given(st.text(max_size=300))
def test_instance_names_fit_a_label(host_id: str) -> None:
    label = instance_label(host_id)
    assert 1 <= len(label.encode()) <= 63
    assert label.isalnum()
    assert f"{label}.{SERVICE_TYPE}".isascii()


@given(st.text(max_size=300))
def test_a_long_name_is_cut_between_characters(name: str) -> None:
    properties = txt_properties(Advertisement("id", "mesh", name, 1))
    assert len(str(properties["name"]).encode()) <= 63


async def test_a_flood_of_names_is_bounded() -> None:
    resolver = Resolver(lambda hint: None)
    for number in range(5000):
        resolver.seen(f"{number}.{SERVICE_TYPE}")

    assert resolver.dropped == 5000 - MAX_PENDING


def test_addresses_of_links_that_are_up() -> None:
    state = frozenset(
        {
            ("lo", True, "127.0.0.1"),
            ("lo", True, "::1"),
            ("eth0", True, "192.168.1.5"),
            ("eth0", True, "192.168.1.6"),
            ("eth0", True, "fe80::5"),
            ("eth0", True, "fd00::5"),
            ("wlan0", False, "10.1.1.1"),
            ("wlan0", False, ""),
        }
    )
    assert reachable_addresses(state) == ("192.168.1.5", "192.168.1.6", "fd00::5")
    assert multicast_addresses(state) == ("127.0.0.1", "192.168.1.5")
    assert reachable_addresses(frozenset({("lo", True, "127.0.0.1"), ("lo", True, "::1")})) == ("127.0.0.1",)
    assert reachable_addresses(frozenset()) == ()
