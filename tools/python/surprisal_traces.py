#!/usr/bin/env python3
"""Reads the traces of a run: a table per group of traces.h5, enumerations by name.

    from surprisal_traces import load
    run = load("runs/quickstart")
    run.tokens.groupby("state").entropy.mean()  # pandas frames: run.cells, run.samples, ...
    run.nodes_arrays["top_k_logprob"]           # columns of several values a row: numpy
    run.manifest["models"], run.attributes["entropy_unit"]

Needs h5py and numpy; load() needs pandas too, load_arrays() does not. Tables are joined by row
numbers: tokens.sample -> samples, samples.cell -> cells, tokens.node -> nodes. The schema, with the
meaning and unit of every column, is in experiments/README.md, and in each dataset's attributes.
"""

import json
import pathlib
import sys
import types

import h5py
import numpy as np

FORMAT = "surprisal-trace"
FORMAT_VERSION = 1
TABLES = ("cells", "samples", "tokens", "branches", "branch_tokens", "events", "nodes")
OPTIONAL_TABLES = ("twins",)  # of experiments with `counterfactual`


class TraceError(Exception):
    """The file is not a whole trace of this version."""


def _open(run):
    path = pathlib.Path(run)
    if path.is_dir():
        path = path / "traces.h5"
    if not path.exists():
        raise TraceError(
            f"{path}: not there; a run that was interrupted has its trace when it is finished"
        )
    try:
        trace = h5py.File(path, "r")
    except OSError as error:
        raise TraceError(f"{path}: not an HDF5 file: {error}") from error
    found = trace.attrs.get("format"), trace.attrs.get("format_version")
    if found != (FORMAT, FORMAT_VERSION) or not trace.attrs.get("complete"):
        trace.close()
        raise TraceError(
            f"{path}: expected a whole {FORMAT} of version {FORMAT_VERSION}, found {found}"
        )
    return trace


def _names(dataset):
    """Names of an enumeration by value, or None for other columns (booleans included)."""
    members = h5py.check_enum_dtype(dataset.dtype)
    if members is None or dataset.dtype == bool:
        return None
    return [name for name, _ in sorted(members.items(), key=lambda item: item[1])]


def _values(dataset):
    if h5py.check_string_dtype(dataset.dtype) is not None:
        return dataset.asstr()[()]
    return dataset[()]


def load_arrays(run):
    """A namespace with a dict of numpy columns for each table; enumerations as arrays of names.

    Beside the tables: their names (tables), attributes, config_yaml, manifest (a dict), and samples["response"].
    """
    with _open(run) as trace:
        result = types.SimpleNamespace()
        result.tables = (*TABLES, *(table for table in OPTIONAL_TABLES if table in trace))
        for table in result.tables:
            columns = {}
            for name, dataset in trace[table].items():
                names = _names(dataset)
                columns[name] = (
                    _values(dataset) if names is None else np.array(names, object)[dataset[()]]
                )
            setattr(result, table, columns)
        offsets = trace["text/offsets"][()]
        text = trace["text/bytes"][()].tobytes()
        responses = [
            text[a:b].decode("utf-8", "replace")
            for a, b in zip(offsets[:-1], offsets[1:], strict=True)
        ]
        result.samples["response"] = np.array(responses, object)
        result.attributes = dict(trace.attrs)
        result.config_yaml = trace["meta/config_yaml"].asstr()[()]
        result.manifest = json.loads(trace["meta/manifest_json"].asstr()[()])
    return result


def load(run):
    """A namespace with a pandas frame for each table; enumerations as categories.

    Columns of several values a row (top_k_*, attention_* per layer, logits) are numpy arrays in
    nodes_arrays, row by row with the frame `nodes`.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError(
            "load() makes pandas frames: install pandas (pip install pandas), or use load_arrays()"
        ) from error
    result = load_arrays(run)
    with _open(run) as trace:
        for table in result.tables:
            arrays, columns = {}, {}
            for name, values in getattr(result, table).items():
                if values.ndim > 1:
                    arrays[name] = values
                    continue
                names = _names(trace[table][name]) if name in trace[table] else None
                columns[name] = (
                    values if names is None else pd.Categorical(values, categories=names)
                )
            setattr(result, table, pd.DataFrame(columns))
            if table == "nodes":
                result.nodes_arrays = arrays
    return result


def main():
    if len(sys.argv) != 2 or sys.argv[1] in ("-h", "--help"):
        print(
            f"usage: {pathlib.Path(sys.argv[0]).name} RUN\n\nPrints the first rows of every table."
        )
        return 0 if len(sys.argv) == 2 else 2
    try:
        run = load(sys.argv[1])
    except (TraceError, ImportError) as error:
        print(f"surprisal_traces: error: {error}", file=sys.stderr)
        return 1
    for table in run.tables:
        frame = getattr(run, table)
        print(f"\n{table}: {len(frame)} rows\n{frame.head()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
