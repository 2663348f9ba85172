#!/usr/bin/env python3
"""Evaluation cases of every op, computed by numpy in float64 from the definitions of the ops.

    op_cases.py [FOLDER]            writes golden/numeric/ops/FAMILY.jsonl, or the same below FOLDER
    op_cases.py --check             makes them again and compares byte for byte; exit code 3 when
                                    they differ
    op_cases.py --validate FILE     computes recorded cases of the same form, plain or gzipped, by
                                    the same formulas and counts what agrees, per op

Nothing of milgen takes part. golden/README.md describes the files.
"""

import argparse
import gzip
import json
import pathlib
import sys
import traceback

try:
    import numpy as np
except ImportError:
    print("SKIPPED: there is no numpy here")
    sys.exit(0)

sys.dont_write_bytecode = True  # the tests leave nothing behind beside the sources
import op_cases_common as common
import op_cases_image
import op_cases_indexed
import op_cases_pointwise
import op_cases_programs
import op_cases_shapes
import op_cases_sums
import op_cases_weights

FAMILIES = [op_cases_image, op_cases_indexed, op_cases_pointwise, op_cases_programs,
            op_cases_shapes,
            op_cases_sums, op_cases_weights]
FOLDER = pathlib.Path(__file__).resolve().parents[2] / "golden" / "numeric" / "ops"
SHOWN = 3  # faults of one op


def texts():
    out = {}
    for family in FAMILIES:
        cases = common.Cases(family.FAMILY)
        family.add_cases(cases)
        out[family.FAMILY + ".jsonl"] = cases.text()
    return out


def write(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in texts().items():
        (folder / name).write_text(content)


def check():
    wanted = texts()
    found = {path.name: path.read_text() for path in FOLDER.glob("*.jsonl")}
    wrong = [name for name in sorted(wanted | found) if wanted.get(name) != found.get(name)]
    for name in wrong:
        print(f"golden/numeric/ops/{name} is not what op_cases.py makes")
    return 3 if wrong else 0


# --- Recorded cases. ---


def differs(got, want, tol):
    """Why a value is not the wanted one; None when it is."""
    if isinstance(want, common.DictValue):
        same = [k for k, _ in got.pairs] == [k for k, _ in want.pairs] and np.allclose(
            [v for _, v in got.pairs], [v for _, v in want.pairs], **tol)
        return None if same else f"{got.pairs} is not {want.pairs}"
    if (got.dtype, got.shape) != (want.dtype, want.shape):
        return f"{got.dtype}{list(got.shape)} is not {want.dtype}{list(want.shape)}"
    x, y = got.data.reshape(-1), want.data.reshape(-1)
    if want.dtype in common.FLOATS:
        with np.errstate(all="ignore"):
            near = np.abs(x - y) <= tol["atol"] + tol["rtol"] * np.abs(y)
        near |= (x == y) | (np.isnan(x) & np.isnan(y))
    else:
        near = x == y
    if np.all(near):
        return None
    at = int(np.argmin(near))
    return f"[{at}] {x[at]} is not {y[at]}, {np.count_nonzero(~near)} of {near.size} elements"


def fault(case):
    calls = case.get("calls", [case])
    run = op_cases_programs.Run(case["program"]) if "program" in case else None
    for call in calls:
        if run is not None:
            results = run({name: common.from_json(v) for name, v in call["feeds"].items()})
        else:
            values = {name: common.from_json(v)
                      for side in ("inputs", "attrs") for name, v in case[side].items()}
            results = common.evaluate(case["op"], common.opset_number(case["opset"]), values)
        wanted = [common.from_json(v) for v in call["outputs"]]
        if len(results) != len(wanted):
            return f"{len(results)} results are not {len(wanted)}"
        for name, state in call.get("state_after", {}).items():
            results, wanted = [*results, run.states[name]], [*wanted, common.from_json(state)]
        for got, want in zip(results, wanted):
            why = differs(got, want, case["tol"])
            if why is not None:
                return why
    return None


def validate(path):
    opener = gzip.open if path.suffix == ".gz" else open
    counts = {}
    total = [0, 0]
    for line in opener(path, "rt"):
        case = json.loads(line)
        if "origin" in case:
            continue
        try:
            why = fault(case)
        except Exception:
            why = traceback.format_exc(limit=-2)
        count = counts.setdefault(case["op"], [0, 0, 0, 0])
        flagged = 2 if case.get("flags") else 0
        count[flagged + (why is not None)] += 1
        if not flagged:
            total[why is not None] += 1
        if why is not None and count[flagged + 1] <= SHOWN:
            print(f"{case['id']}{' (flagged)' if flagged else ''}: {why}")
    for op, (agree, differ, flagged_agree, flagged_differ) in sorted(counts.items()):
        flags = flagged_agree + flagged_differ
        extra = f", flagged {flagged_agree} of {flags}" if flags else ""
        print(f"{op}: {agree} of {agree + differ} agree{extra}")
    print(f"total: {total[0]} of {sum(total)} agree")
    return 3 if total[1] else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--validate", type=pathlib.Path, metavar="FILE")
    parser.add_argument("folder", nargs="?", type=pathlib.Path, default=FOLDER)
    args = parser.parse_args()
    if args.validate:
        return validate(args.validate)
    if args.check:
        return check()
    write(args.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
