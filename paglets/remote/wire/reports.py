"""Errors as the wire carries them: the reports of ``paglets.core.error_reports`` as JSON text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from paglets.core import error_reports

if TYPE_CHECKING:
    from paglets.core.errors import PagletError

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(dict[str, object])


def report_of(error: BaseException) -> bytes:
    """An error as one JSON object."""
    return _encoder.encode(error_reports.report(error))


def error_of(raw: bytes | bytearray | memoryview | msgspec.Raw) -> PagletError:
    """The error that a JSON object reports; ``ValueError`` when it is no report."""
    try:
        payload = _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"this is no error report: {error}") from None
    return error_reports.from_report(payload)
