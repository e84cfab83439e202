"""Networks of families as spaces of their own: what such a space can say of digital layers."""

from pathlib import Path

import pytest

from cimsearch.errors import SpaceError
from cimsearch.orchestrate.imported.resized import resized_spec
from cimsearch.space import Space
from cimsearch.spec import load_space_spec


def test_digital_layers_have_one_number_of_bits() -> None:
    spec = load_space_spec("dscnn_kws")
    space = Space(spec)
    same, other = (space.uniform(weight_bits=b, activation_bits=8).blueprint for b in (8, 4))
    to = Path("mine.yaml")
    assert resized_spec(same, spec, to, "all of 8 bits").digital.bits == 8
    with pytest.raises(SpaceError, match="digital layers: found 4 and 8 weight bits"):
        resized_spec(other, spec, to, "depthwise layers of 4 bits")
