"""Packets between a launcher and its zygote: MessagePack over a SEQPACKET socket, descriptors beside them."""

from __future__ import annotations

import array
import os
import socket

import msgspec

from paglets.runtime.launchers.launcher import ExitStatus, LaunchRequest

MAX_PACKET = 64 * 1024
"""Longer launch requests travel in a memory file."""
MAX_DESCRIPTORS = 3


class Launch(msgspec.Struct, frozen=True, tag=True):
    """Fork a child. Comes with its link, the write end of its output, and the request when that is long."""

    seq: int
    request: LaunchRequest | None


class Kill(msgspec.Struct, frozen=True, tag=True):
    """Send a signal to a child of this launcher; nothing when it has ended."""

    pid: int
    signal: int


class Launched(msgspec.Struct, frozen=True, tag=True):
    """The child of that request runs."""

    seq: int
    pid: int


class Refused(msgspec.Struct, frozen=True, tag=True):
    """There is no child for that request."""

    seq: int
    reason: str


class Ended(msgspec.Struct, frozen=True, tag=True):
    """A child has ended and was reaped, and its process group with it."""

    pid: int
    status: ExitStatus


class Birth(msgspec.Struct, frozen=True, array_like=True):
    """What a child has to know of its launch beyond its descriptors: the rest is there when it is forked."""

    cwd: str
    life_file: str


Order = Launch | Kill
Report = Launched | Refused | Ended

encode = msgspec.msgpack.Encoder().encode
_decode_order = msgspec.msgpack.Decoder(Order).decode
_decode_report = msgspec.msgpack.Decoder(Report).decode
_decode_request = msgspec.msgpack.Decoder(LaunchRequest).decode

decode_birth = msgspec.msgpack.Decoder(Birth).decode


def decode_order(packet: bytes) -> Order:
    """What a launcher sent."""
    return _decode_order(packet)


def decode_report(packet: bytes) -> Report:
    """What a zygote sent."""
    return _decode_report(packet)


def encode_launch(seq: int, request: LaunchRequest) -> tuple[bytes, int | None]:
    """The packet of a launch, and the memory file that goes with it when the request is long (close it)."""
    packet = encode(Launch(seq, request))
    if len(packet) <= MAX_PACKET:
        return packet, None
    descriptor = os.memfd_create("paglets-launch", os.MFD_CLOEXEC)
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(encode(request))
    return encode(Launch(seq, None)), descriptor


def read_request(descriptor: int) -> LaunchRequest:
    """The request that came in a memory file."""
    return _decode_request(os.pread(descriptor, os.fstat(descriptor).st_size, 0))


def receive(channel: socket.socket) -> tuple[bytes, list[int]]:
    """One packet and its descriptors, close-on-exec; ``b""`` at the end. ``BlockingIOError``: none there."""
    room = socket.CMSG_SPACE(MAX_DESCRIPTORS * array.array("i").itemsize)
    data, ancillary, _flags, _address = channel.recvmsg(2 * MAX_PACKET, room, socket.MSG_CMSG_CLOEXEC)
    descriptors = array.array("i")
    for level, kind, blob in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(blob[: len(blob) - len(blob) % descriptors.itemsize])
    return data, list(descriptors)


def close_all(descriptors: list[int]) -> None:
    """Close each of them."""
    for descriptor in descriptors:
        os.close(descriptor)
