"""Between Python objects and the text of the columns; what is written comes back equal."""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution
from optuna.trial import FrozenTrial, TrialState

Distributions = dict[str, BaseDistribution]

# PostgreSQL has no zero byte and no database a lone surrogate; the rest is for terminals.
_UNFIT = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


def to_json(value: object) -> str:
    """Write compact ASCII JSON; floats that are not finite as `NaN`, `Infinity`, `-Infinity`."""
    return json.dumps(value, separators=(",", ":"))


def from_json(text: str) -> Any:
    """Read what `to_json` wrote."""
    return json.loads(text)


def plain_text(text: str | None) -> str | None:
    """Return a text that came from elsewhere as every database takes it, the rest as escapes."""
    if text is None:
        return None
    return _UNFIT.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def canonical_json(text: str) -> str:
    """Rewrite JSON in its one canonical form: keys sorted, no white space, ASCII."""
    return to_canonical_json(json.loads(text))


def to_canonical_json(value: object) -> str:
    """Write what was read from JSON in its one canonical form."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def content_hash(text: str) -> str:
    """Return the SHA-256 of a text, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def encode_distributions(distributions: Mapping[str, BaseDistribution]) -> str:
    """Write the distributions of a trial's parameters as one JSON object, in their order."""
    members = (f"{to_json(n)}:{distribution_to_json(d)}" for n, d in distributions.items())
    return "{" + ",".join(members) + "}"


def decode_distributions(text: str) -> Distributions:
    """Read what `encode_distributions` wrote."""
    return {n: json_to_distribution(to_json(d)) for n, d in from_json(text).items()}


def utc_time(local: datetime | None) -> datetime | None:
    """Turn Optuna's naive local time into an aware time in UTC."""
    return None if local is None else local.astimezone(UTC)


def local_time(utc: datetime | None) -> datetime | None:
    """Turn an aware time into Optuna's naive local time."""
    return None if utc is None else utc.astimezone().replace(tzinfo=None)


def encode_trial(frozen: FrozenTrial) -> dict[str, Any]:
    """Give the columns of a trial that Optuna knows, apart from its id, number and distributions.

    `constraints` is what Optuna's samplers and plots see: `FrozenTrial.constraints`, {name:
    value}. They read it from the trial's system attributes, which are written too, so the two
    always agree.
    """
    of = frozen.distributions
    params = {
        n: of[n].to_external_repr(of[n].to_internal_repr(v)) for n, v in frozen.params.items()
    }
    values = None if frozen.values is None else to_json([float(v) for v in frozen.values])
    return {
        "state": frozen.state.name.lower(),
        "params": to_json(params),
        "values": values,
        "constraints": to_json(frozen.constraints),
        "intermediate": to_json({s: float(v) for s, v in frozen.intermediate_values.items()}),
        "user_attrs": to_json(frozen.user_attrs),
        "system_attrs": to_json(frozen.system_attrs),
        "started": utc_time(frozen.datetime_start),
        "ended": utc_time(frozen.datetime_complete),
    }


def decode_trial(row: Mapping[Any, Any], distributions: Distributions) -> FrozenTrial:
    """Build Optuna's trial from a row of the table `trial`."""
    return FrozenTrial(
        number=row["number"],
        trial_id=row["id"],
        state=TrialState[row["state"].upper()],
        value=None,
        values=None if row["values"] is None else from_json(row["values"]),
        datetime_start=local_time(row["started"]),
        datetime_complete=local_time(row["ended"]),
        params=from_json(row["params"]),
        # Optuna adds to the dictionaries of the trial it is asking about: none may be shared.
        distributions=dict(distributions),
        user_attrs=from_json(row["user_attrs"]),
        system_attrs=from_json(row["system_attrs"]),
        intermediate_values={int(s): v for s, v in from_json(row["intermediate"]).items()},
    )


def editable(frozen: FrozenTrial) -> FrozenTrial:
    """Copy a trial so that the copy's fields and attributes may be set."""
    return FrozenTrial(
        number=frozen.number,
        trial_id=frozen._trial_id,
        state=frozen.state,
        value=None,
        values=frozen.values,
        datetime_start=frozen.datetime_start,
        datetime_complete=frozen.datetime_complete,
        params=dict(frozen.params),
        distributions=frozen.distributions,
        user_attrs=dict(frozen.user_attrs),
        system_attrs=dict(frozen.system_attrs),
        intermediate_values=dict(frozen.intermediate_values),
    )
