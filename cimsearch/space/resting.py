"""What channels are at rest: what they give where the layers that make them give nothing."""

from math import inf

from cimsearch.blueprint import NETWORK_INPUT, Blueprint


def hard_sigmoid(value: float) -> float:
    """Return clip(value / 6 + 1 / 2, 0, 1)."""
    return min(max(value / 6 + 0.5, 0.0), 1.0)


def relu(value: float, limit: float | None) -> float:
    """Return a value that is not below 0, nor above ``limit`` if there is one."""
    return min(max(value, 0.0), inf if limit is None else limit)


def resting(blueprint: Blueprint) -> dict[str, float]:
    """Return what each node puts out where every layer and batch norm gives 0, by name.

    That is what readers of a channel get once its weights, gain and bias are zero: 0 behind a
    ReLU, and 1 / 2 behind a hard sigmoid. Whoever takes a channel away takes that with it.
    """
    found = {NETWORK_INPUT: 0.0}
    for node in blueprint.nodes:
        read = [found[name] for name in node.inputs]
        match node.op:
            case "conv" | "linear" | "batchnorm":
                value = 0.0
            case "hard_sigmoid":
                value = hard_sigmoid(read[0])
            case "relu":
                value = relu(read[0], node.limit)
            case "add":
                value = sum(read)
            case _:
                value = read[0]
        found[node.name] = value
    return found
