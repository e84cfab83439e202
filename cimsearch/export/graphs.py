"""The network as ONNX and QONNX, where the package ``onnx`` is installed."""

from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from cimsearch.export.files import ONNX, QONNX
from cimsearch.export.onnx import write_onnx, write_qonnx
from cimsearch.networks import Network

NO_ONNX = "the package onnx was not installed (pip install 'cimsearch[onnx]')"


def graph_files(network: Network, images: str) -> tuple[dict[str, bytes], str]:
    """Return the files of a network's graphs by name, and why there are none, or nothing.

    Args:
        network: With batch norms for an ideal converter: graphs have no other.
        images: What the network takes, in words.
    """
    if find_spec("onnx") is None:
        return {}, NO_ONNX
    with TemporaryDirectory() as directory:
        paths = {name: Path(directory) / name for name in (ONNX, QONNX)}
        write_onnx(network, paths[ONNX], images)
        write_qonnx(network, paths[QONNX], images)
        return {name: path.read_bytes() for name, path in paths.items()}, ""
