"""Safetensors files that tell by themselves whether they are whole.

Their metadata has the SHA-256 of the file, taken with 64 zeros in the digest's own place. Other
programs read them as any safetensors file. This module needs neither torch nor safetensors.
"""

import hashlib
import json

DIGEST = "sha256"
UNSEALED = "0" * 64
"""What the metadata has under ``DIGEST`` before a file is sealed."""

_MARK = f'"{DIGEST}":"'.encode()
_LENGTH_BYTES = 8


def sealed(content: bytes) -> bytes:
    """Return a safetensors file with its digest filled in.

    Raises:
        ValueError: Its metadata has no place for one.
    """
    place = _place(content)
    if place is None:
        raise ValueError(f"metadata: found no {DIGEST}; wanted is 64 zeros")
    return content[: place.start] + _digest(content, place) + content[place.stop :]


def is_whole(content: bytes) -> bool:
    """Return whether no byte of a sealed file differs from what was sealed."""
    place = _place(content)
    return place is not None and content[place] == _digest(content, place)


def metadata_of(content: bytes) -> dict[str, str]:
    """Return the metadata of a safetensors file that is whole."""
    header = json.loads(content[_LENGTH_BYTES : _header_end(content)])
    metadata: dict[str, str] = header["__metadata__"]
    return metadata


def _header_end(content: bytes) -> int:
    return _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "little")


def _place(content: bytes) -> slice | None:
    """Return where the digest is, if there is one."""
    found = content.find(_MARK, _LENGTH_BYTES, min(_header_end(content), len(content)))
    start = found + len(_MARK)
    return None if found < 0 else slice(start, start + len(UNSEALED))


def _digest(content: bytes, place: slice) -> bytes:
    total = hashlib.sha256(memoryview(content)[: place.start])
    total.update(UNSEALED.encode())
    total.update(memoryview(content)[place.stop :])
    return total.hexdigest().encode()
