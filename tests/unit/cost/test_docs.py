"""The examples of docs/hardware.md are valid files that price a network."""

import re
from pathlib import Path

from cimsearch.cost import check_calibration, estimate
from cimsearch.space import Space
from cimsearch.spec import load_hardware, load_space_spec

DOCS = Path(__file__).parents[3] / "docs"


def test_the_examples_price_a_network(tmp_path: Path) -> None:
    text = (DOCS / "hardware.md").read_text(encoding="utf-8")
    for name, example in re.findall(r"file: (\S+) -->\n```yaml\n(.*?)```", text, re.DOTALL):
        (tmp_path / name).write_text(example, encoding="utf-8")
    hardware = load_hardware(str(tmp_path / "my_soc.yaml"))
    assert hardware == load_hardware("my_soc.yaml", beside=tmp_path / "study.yaml")
    assert hardware.system.macros == 16
    assert hardware.macro.array.cols == 64
    mesh = load_hardware(str(tmp_path / "my_mesh.yaml")).system.interconnect.mesh
    assert mesh is not None
    assert mesh.macros_per_tile == 8
    calibration = hardware.macro.calibration
    assert calibration is not None
    (check,) = check_calibration(hardware, calibration)
    network = Space(load_space_spec("vgg_tiny")).uniform(weight_bits=4, activation_bits=4)
    assert estimate(network.blueprint, hardware).calibrated, check
