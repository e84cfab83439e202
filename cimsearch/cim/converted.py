"""A converted torch model: calibrated, turned into a chip, saved and loaded."""

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cimsearch.cim.converted_layer import ConvertedLayer
from cimsearch.cim.mode import Mode
from cimsearch.errors import UsageError
from cimsearch.spec.base import canonical_json
from cimsearch.spec.hardware import AS_STATED, Condition, Hardware
from cimsearch.spec.study import Level

SCHEMA = "cimsearch/converted/1"


class ConvertedModel(nn.Module):
    """A torch model whose convolutions and linear layers compute as crossbars do.

    Args:
        model: The model, its layers already replaced.
        hardware: What they run on.
        layers: The replaced layers by module path.
        skip: Module paths that were left in float.
        generator: Draws the noise of training.
    """

    def __init__(
        self,
        model: nn.Module,
        hardware: Hardware,
        layers: dict[str, ConvertedLayer],
        *,
        skip: tuple[str, ...],
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.model = model
        self.hardware = hardware
        self.skip = skip
        self._layers = layers
        self._generator = generator
        self._chip: int | None = None

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """Return what the model returns."""
        if self.training:
            (whole,) = torch.randint(2**62, (1,), generator=self._generator).tolist()
            for layer in self._layers.values():
                layer.begin_pass(whole)
        return self.model(*inputs, **options)

    def converted_layers(self) -> Iterator[ConvertedLayer]:
        """Yield the layers that run on arrays."""
        yield from self._layers.values()

    def set_mode(
        self,
        level: Level = "L1",
        *,
        ideal: bool = False,
        noise_scale: float = 1.0,
        condition: Condition = AS_STATED,
    ) -> None:
        """Set how the layers on arrays compute; see ``Mode``."""
        if level not in ("L0", "L1", "L2"):
            raise UsageError(f"level: found {level!r}; allowed are L0, L1, L2")
        if not 0 <= noise_scale < float("inf"):
            raise UsageError(f"noise_scale: found {noise_scale}; allowed is 0 or more")
        if not isinstance(condition, Condition):
            raise UsageError(f"condition: found {condition!r}; allowed is a Condition")
        for layer in self._layers.values():
            layer.mode = Mode(level, ideal, noise_scale, condition)

    def chip(self, seed: int | None) -> None:
        """Become one chip, with its own static errors, or (None) a new one at every call.

        Whatever the batch and its size, a chip's cells are the same. The noise of conversions
        goes on from call to call, from the same beginning each time a chip is chosen.
        """
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
            raise UsageError(f"chip: found {seed!r}; allowed is a whole number or None")
        for layer in self._layers.values():
            layer.set_chip(seed)
        self._chip = seed

    @torch.no_grad()
    def calibrate(self, loader: Iterable[Any], batches: int = 4) -> None:
        """Fit the steps of inputs and weights and the converters' ranges, layer after layer.

        Dropout is off and batch norms stay as they are.

        Args:
            loader: Batches: tensors, or tuples and lists that begin with one.
            batches: How many to take; all of them are run at once.

        Raises:
            UsageError: There is no batch, or a layer gets NaN or runs twice.
            HardwareError: A layer's inputs are signed and the hardware's may not be.
        """
        taken = [_inputs(batch) for batch in islice(loader, max(batches, 0))]
        if not taken or not sum(len(batch) for batch in taken):
            raise UsageError("calibrate: found no batch; needed is one at least")
        layers = list(self._layers.values())
        modes = {module: module.training for module in self.modules()}
        self.eval()
        for layer in layers:
            layer.calibrating, layer.x_scale = True, 0.0
        try:
            self(torch.cat(taken))
        finally:
            for layer in layers:
                layer.calibrating = False
            for module, training in modes.items():
                module.training = training
        self.chip(self._chip)

    def save(self, path: Path | str) -> None:
        """Write weights, steps and converter ranges as safetensors, with a JSON header.

        Raises:
            UsageError: A layer has learned its steps, which a file does not hold.
        """
        from safetensors.torch import save_file

        learned = [name for name, layer in self._layers.items() if layer.learned_parameters()]
        if learned:
            raise UsageError(
                f"{learned[0]}: has learned steps; allowed are those of a calibration, which a "
                "file can hold"
            )
        parts = {f"model/{name}": values for name, values in self.model.state_dict().items()}
        for name, layer in self._layers.items():
            found = layer.range_tensors()
            parts |= {f"ranges/{name}/{part}": values for part, values in found.items()}
        # A file has no views and no shared memory.
        tensors = {name: values.detach().clone().contiguous() for name, values in parts.items()}
        header = {
            "schema": SCHEMA,
            "hardware": self.hardware.hash,
            "skip": list(self.skip),
            "layers": {name: layer.settings() for name, layer in self._layers.items()},
        }
        save_file(tensors, path, {"cimsearch": canonical_json(header)})

    @classmethod
    def load(
        cls, path: Path | str, model: nn.Module, hardware: Hardware, *, seed: int = 0
    ) -> "ConvertedModel":
        """Return the model that ``save`` wrote.

        Args:
            path: The file.
            model: A model of the same modules; its weights do not matter.
            hardware: What the saved model was converted for.
            seed: Of the noise of training.

        Raises:
            UsageError: The file is not one, or of another model or other hardware.
        """
        from cimsearch.cim.convert import LayerBits, convert

        header, tensors = _read(Path(path))
        asked = ("weight_bits", "activation_bits", "adc_bits")
        try:
            made_for, skip = header["hardware"], tuple(header["skip"])
            bits = {
                name: LayerBits(**{key: saved[key] or None for key in asked})
                for name, saved in header["layers"].items()
            }
        except (KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"{path}: its header is not one that save wrote: {error}") from error
        if made_for != hardware.hash:
            raise UsageError(f"{path}: was converted for other hardware than {hardware.name}")
        loaded = convert(model, hardware, skip=skip, overrides=bits, seed=seed)
        if set(bits) != set(loaded._layers):
            raise UsageError(f"{path}: is of a model with other layers")
        try:
            loaded.model.load_state_dict(_below("model/", tensors))
        except RuntimeError as error:
            raise UsageError(f"{path}: is of another model: {error}") from error
        for name, layer in loaded._layers.items():
            layer.restore(header["layers"][name], _below(f"ranges/{name}/", tensors))
        loaded.chip(None)
        return loaded


def _below(head: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names begin with ``head``, without it."""
    return {name.removeprefix(head): t for name, t in tensors.items() if name.startswith(head)}


def _inputs(batch: Any) -> Tensor:
    first = batch[0] if isinstance(batch, tuple | list) and batch else batch
    if not isinstance(first, Tensor):
        raise UsageError(
            f"calibrate: found a batch of {type(batch).__name__}; allowed is a tensor, or a "
            "tuple that begins with one"
        )
    return first


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("cimsearch", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except SafetensorError as error:
        raise UsageError(f"{path}: not a safetensors file: {error}") from error
    if header.get("schema") != SCHEMA:
        raise UsageError(
            f"{path}: schema: found {header.get('schema')!r}; allowed is {SCHEMA!r}",
            "load what ConvertedModel.save wrote",
        )
    return header, tensors
