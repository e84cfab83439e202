"""Leaving out of a shared study where its owner's files and machines are."""

import re
from typing import Any

from cimsearch.spec.catalogue import is_path
from cimsearch.store.archive import IMPORTED, MAX_TEXT
from cimsearch.store.encoding import from_json

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_ADDRESS = re.compile(
    r"\b[a-z][a-z0-9+.\-]*://[^\s'\",;)]+|(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?(?![\w.]*\w)"
)
# In quotes, as Python's own errors have it, a path may hold anything.
_PATH = re.compile(
    r"(?<=')~?/[^'\n]+(?=')|(?<=\")~?/[^\"\n]+(?=\")"
    r"|(?<![\w./~])~?(?:/[^\s/'\":,;()\[\]]+){2,}/?"
)


def spec_without_places(text: str) -> dict[str, Any]:
    """Return the parts of a study's spec, without what is no part of its identity and private.

    Args:
        text: The spec as JSON: ``study``, ``space``, ``hardware``, and ``also``, the spaces of
            other workloads, if there are any.
    """
    parts: dict[str, Any] = from_json(text)
    study = dict(parts["study"])
    # How the owner's cluster is reached, and whom it is billed to.
    study.pop("cluster", None)
    study["data"] = _data_without_place(study["data"])
    if "also" in parts:
        others = zip(study["also"], parts["also"], strict=True)
        study["also"] = [_workload_without_places(*pair) for pair in others]
    for part in ("space", "hardware"):
        if is_path(study[part]):
            study[part] = parts[part]["name"]
    return {**parts, "study": study}


def _data_without_place(data: dict[str, Any]) -> dict[str, Any]:
    return data | {"path": None} if "path" in data else data


def _workload_without_places(workload: dict[str, Any], space: dict[str, Any]) -> dict[str, Any]:
    named = {"space": space["name"]} if is_path(workload["space"]) else {}
    return workload | named | {"data": _data_without_place(workload["data"])}


def attrs_without_places(attrs: dict[str, Any]) -> dict[str, Any]:
    """Return a study's attributes without where its data lies, or where it was imported from."""
    kept = {name: value for name, value in attrs.items() if name != IMPORTED}
    if "data_path" in attrs:
        kept["data_path"] = None
    if "also_data" in attrs:
        kept["also_data"] = [source | {"path": None} for source in attrs["also_data"]]
    if "adaptation" in attrs:
        kept["adaptation"] = attrs["adaptation"] | {"file": ""}
    return kept


def job_without_places(job: dict[str, Any]) -> dict[str, Any]:
    """Return a job without where the data lies and what its workers share; its key is the same."""
    if "members" in job:
        return job | {"members": [job_without_places(member) for member in job["members"]]}
    if "job" in job:
        return job | {"job": job_without_places(job["job"])}
    private: dict[str, Any] = {name: None for name in ("data_path", "cache") if name in job}
    if isinstance(job.get("data"), dict):
        private["data"] = _data_without_place(job["data"])
    if "weights_of" in job:
        private["weights_of"] = job_without_places(job["weights_of"])
    return job | private


def text_without_places(text: str | None) -> str | None:
    """Return a reason with the paths and addresses in it left out, as an archive may have it."""
    if text is None:
        return None
    plain = _CONTROL.sub("", text)[:MAX_TEXT]
    return _PATH.sub("<path>", _ADDRESS.sub("<address>", plain))[:MAX_TEXT]
