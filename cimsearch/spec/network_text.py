"""Writing the file of a space that holds one network."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from cimsearch.spec.network import NetworkSpec

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./\-]*")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def network_text(spec: NetworkSpec) -> str:
    """Return the file of a space of one network, as it is read."""
    return "\n".join(_lines(spec)) + "\n"


def _lines(spec: NetworkSpec) -> Iterator[str]:
    plain = spec.model_dump(mode="json", by_alias=True, exclude={"nodes"})
    for name in ("schema", "name", "summary", "source", "family", "input_shape", "classes"):
        yield f"{name}: {_flow(plain[name])}"
    if spec.weights_sha256:
        yield f"weights_sha256: {spec.weights_sha256}"
    yield "genes:"
    for name, choices in plain["genes"].items():
        if choices:
            yield f"  {name}: {_flow(choices)}"
    if "depthwise" in plain:
        yield f"depthwise: {_flow(plain['depthwise'])}"
    layers = [name for name in spec.whole_layers if name in spec.digital_layers]
    yield f"digital: {_flow({'layers': layers, 'bits': spec.digital.bits})}"
    yield "nodes:"
    above = "input"
    for node, reads in zip(spec.nodes, spec.reads(), strict=True):
        own = node.model_dump(mode="json", exclude_defaults=True)
        if reads == (above,):
            own.pop("inputs", None)
        yield f"  - {_flow(own)}"
        above = node.name


def _flow(value: Any) -> str:
    """Return plain data in YAML's flow style; texts that could be anything else are quoted."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_flow(each)}" for name, each in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str) and (not _PLAIN.fullmatch(value) or value.lower() in _WORDS):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
