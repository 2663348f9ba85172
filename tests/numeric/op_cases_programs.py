"""Programs: control flow, lists and states. Also random ops and classify."""

import numpy as np

from op_cases_common import (EXACT, POINTWISE, SUMS, DictValue, ListValue, Value, evaluate, formula,
                             from_json, i32, opset_number, tensor, text, to_json, yes)

FAMILY = "programs"


# --- Running a program. ---


class Run:
    """A program of a case. States begin as 0 and live from call to call."""

    def __init__(self, program):
        self.program = program
        self.opset = opset_number(program["opset"])
        self.states = {}
        for item in program["inputs"]:
            if "state" in item:
                state = item["state"]
                self.states[item["name"]] = Value(state["dtype"], np.zeros(state["shape"]))

    def __call__(self, feeds):
        scope = dict(feeds)
        self.ops(self.program["ops"], scope)
        return [scope[name[1:]] for name in self.program["outputs"]]

    def ops(self, ops, scope):
        for op in ops:
            results = self.op(op, scope)
            for name, result in zip(op.get("outputs", [op["name"]]), results):
                scope[name] = result

    def op(self, op, scope):
        kind = op["op"]
        sides = {**op.get("inputs", {}), **op.get("attrs", {})}
        if kind in ("read_state", "write_state", "coreml_update_state"):
            return self.state_op(kind, sides, scope)
        values = {name: self.value(item, scope) for name, item in sides.items()}
        if kind == "cond":
            return self.block(op["blocks"][0 if values["pred"].data else 1], [], scope)
        if kind == "while_loop":
            variables = values["loop_vars"]
            while self.block(op["blocks"][0], variables, scope)[0].data:
                variables = self.block(op["blocks"][1], variables, scope)
            return variables
        return evaluate(kind, self.opset, values)

    def state_op(self, kind, sides, scope):
        name = sides["state" if kind == "coreml_update_state" else "input"][1:]
        if kind == "read_state":
            return [self.states[name]]
        self.states[name] = self.value(sides["value" if kind == "coreml_update_state" else "data"],
                                       scope)
        return [self.states[name]] if kind == "coreml_update_state" else []

    def block(self, block, variables, outer):
        scope = {**outer, **dict(zip(block.get("inputs", []), variables))}
        self.ops(block["ops"], scope)
        return [scope[name[1:]] for name in block["outputs"]]

    def value(self, item, scope):
        if isinstance(item, list):
            return [self.value(one, scope) for one in item]
        if isinstance(item, str):
            return scope[item[1:]]
        return from_json(item["const"])


# --- Lists. ---


@formula("make_list")
def make_list(a):
    shape = [int(item.data) for item in a.tuple("elem_shape")]
    dtype = a.text("dtype", "fp32")
    count = a.integer("init_length", 1)
    return ListValue(dtype, shape, [Value(dtype, np.zeros(shape)) for _ in range(count)])


@formula("list_length")
def list_length(a):
    return Value("int32", len(a.values["ls"].items))


def written(ls, index, value):
    """Behind its end a list of dynamic length grows, by elements of 0."""
    items = list(ls.items)
    while len(items) <= index:
        items.append(Value(ls.dtype, np.zeros(ls.shape)))
    items[index] = value
    return ListValue(ls.dtype, ls.shape, items)


@formula("list_write")
def list_write(a):
    return written(a.values["ls"], a.integer("index"), a.values["value"])


@formula("list_read")
def list_read(a):
    return a.values["ls"].items[a.integer("index")]


@formula("list_gather")
def list_gather(a):
    ls = a.values["ls"]
    return Value(ls.dtype, np.stack([ls.items[i].data for i in a.integers("indices")]))


@formula("list_scatter")
def list_scatter(a):
    ls = a.values["ls"]
    for index, row in zip(a.integers("indices"), a["value"]):
        ls = written(ls, index, Value(ls.dtype, row))
    return ls


# --- Ops with a result that is no tensor, or no single one. ---


@formula("classify")
def classify(a):
    probabilities, classes = a["probabilities"].reshape(-1), a["classes"]
    dtype = a.dtype("classes")
    labels = [str(c) if dtype == "string" else int(c) for c in classes]
    return [Value(dtype, labels[int(np.argmax(probabilities))]),
            DictValue(list(zip(labels, map(float, probabilities))))]


@formula("random_bernoulli")
def random_bernoulli(a):
    """Only of the probabilities 0 and 1 is the result known."""
    assert a["prob"] in (0, 1)
    return Value(a.dtype("prob"), np.full(a.integers("shape"), a["prob"]))


@formula("random_uniform")
def random_uniform(a):
    """Known when the range is one number."""
    assert a["low"] == a["high"]
    return Value(a.dtype("low"), np.full(a.integers("shape"), a["low"]))


@formula("random_normal")
def random_normal(a):
    """Known without a deviation."""
    assert a["stddev"] == 0
    return Value(a.dtype("mean"), np.full(a.integers("shape"), a["mean"]))


@formula("random_categorical")
def random_categorical(a):
    """Known when one class has all of the probability."""
    x = a["x"]
    if a.text("mode", "logits") == "logits":
        x = np.exp(x - x.max(axis=-1, keepdims=True))
    assert np.all((x == 0).sum(axis=-1) == x.shape[-1] - 1)
    return a.out(np.repeat(np.argmax(x, axis=-1)[..., None], a.integer("size", 1), axis=-1))


# --- Cases. ---


def const(value):
    return {"const": to_json(value)}


def op(kind, name, inputs, outputs=None, blocks=None):
    out = {"op": kind, "name": name, "inputs": inputs}
    if outputs is not None:
        out["outputs"] = outputs
    if blocks is not None:
        out["blocks"] = blocks
    return out


def block(ops, outputs, inputs=None):
    out = {} if inputs is None else {"inputs": inputs}
    return {**out, "ops": ops, "outputs": outputs}


def add_program(cases, kind, opset, feeds, ops, outputs, states=None, more_feeds=None, tol=EXACT,
                shapes=None):
    """`feeds` are the values of the inputs, of which the types are taken; with `states`, by their
    types, the program is called once with it and once with each of `more_feeds`. `shapes` are those
    of inputs with a dim "?" that is not known before the run."""
    shapes = shapes or {}
    inputs = [{"name": name, "dtype": v.dtype, "shape": shapes.get(name, list(v.shape))}
              for name, v in feeds.items()]
    inputs += [{"name": name, "state": {"dtype": dtype, "shape": shape}}
               for name, (dtype, shape) in (states or {}).items()]
    program = {"opset": opset, "inputs": inputs, "ops": ops, "outputs": outputs}
    dtype = next(iter(feeds.values())).dtype
    line = cases.head(kind, opset, dtype)
    line["program"] = program
    run = Run(program)
    calls = []
    for values in [feeds, *(more_feeds or [])]:
        results = run(values)
        call = {"feeds": {name: to_json(v) for name, v in values.items()},
                "outputs": [to_json(result) for result in results]}
        if states:
            call["state_after"] = {name: to_json(run.states[name]) for name in states}
        calls.append(call)
    line.update({"calls": calls} if states else calls[0])
    cases.finish(line, tol)


def cond_cases(cases):
    for number, (dtype, pred) in enumerate((("fp32", True), ("fp16", False), ("int32", True))):
        draw = cases.draw("cond")
        feeds = {"x": draw.values(dtype, [2, 3]), "y": draw.values(dtype, [2, 3]), "p": yes(pred)}
        blocks = [block([op("add", "t0", {"x": "%x", "y": "%y"}), op("square", "t1", {"x": "%t0"})],
                        ["%t0", "%t1"]),
                  block([op("sub", "f0", {"x": "%x", "y": "%y"})], ["%f0", "%x"])]
        add_program(cases, "cond", ("iOS15", "iOS16", "iOS18")[number], feeds,
                    [op("cond", "c", {"pred": "%p"}, ["c0", "c1"], blocks),
                     op("maximum", "m", {"x": "%c0", "y": "%c1"})], ["%c1", "%m"],
                    tol=SUMS.get(dtype, EXACT))
    # One in the other, on a condition that is computed.
    for number in (-1.0, 0.5, 2.0):
        inner = [block([op("mul", "b0", {"x": "%x", "y": const(tensor("fp32", 3))})], ["%b0"]),
                 block([op("add", "b1", {"x": "%x", "y": const(tensor("fp32", 10))})], ["%b1"])]
        outer = [block([op("greater", "g1", {"x": "%s", "y": const(tensor("fp32", 1))}),
                        op("cond", "c1", {"pred": "%g1"}, ["i1"], inner)], ["%i1"]),
                 block([op("abs", "n", {"x": "%x"})], ["%n"])]
        add_program(cases, "cond", "iOS17",
                    {"x": cases.draw("cond").floats("fp32", [3]), "s": tensor("fp32", number)},
                    [op("greater", "g", {"x": "%s", "y": const(tensor("fp32", 0))}),
                     op("cond", "c", {"pred": "%g"}, ["o"], outer)], ["%o"], tol=POINTWISE["fp32"])


def loop(extra_names, body, outputs, before=(), variables=None):
    """Counts i from 0 to n; `body` gives what becomes of the other variables."""
    names = ["a", *extra_names]
    return [*before,
            op("while_loop", "w", {"loop_vars": [const(i32(0)), *(variables or [])]},
               ["wi", *outputs],
               [block([op("less", "lt", {"x": "%a", "y": "%n"})], ["%lt"], names),
                block([op("add", "inc", {"x": "%a", "y": const(i32(1))}), *body[0]],
                      ["%inc", *body[1]], names)])]


def while_cases(cases):
    for number, (dtype, count) in enumerate((("fp32", 4), ("fp16", 3), ("fp32", 0))):
        x = cases.draw("while_loop").floats(dtype, [2, 2], -1, 1)
        body = ([op("mul", "m", {"x": "%b", "y": "%x"}),
                 op("add", "s", {"x": "%m", "y": const(tensor(dtype, 0.5))})], ["%s"])
        add_program(cases, "while_loop", ("iOS15", "iOS17", "iOS18")[number],
                    {"x": x, "n": i32(count)}, loop(["b"], body, ["wx"], variables=["%x"]),
                    ["%wi", "%wx"], tol=SUMS[dtype])
    # Two variables that change places: each is read before either is written.
    body = ([op("add", "f", {"x": "%b", "y": "%c"})], ["%c", "%f"])
    add_program(cases, "while_loop", "iOS15", {"n": i32(12)},
                loop(["b", "c"], body, ["wb", "wc"], variables=[const(i32(0)), const(i32(1))]),
                ["%wi", "%wb", "%wc"])
    # A tensor that grows, and a loop in a loop.
    body = ([op("concat", "g", {"values": ["%b", "%x"], "axis": const(i32(0))})], ["%g"])
    add_program(cases, "while_loop", "iOS16", {"x": cases.draw("while_loop").floats("fp16", [2, 3]),
                                              "n": i32(3)},
                loop(["b"], body, ["wx"], variables=["%x"]), ["%wx"], shapes={"x": ["?", 3]})
    nested = op("while_loop", "v", {"loop_vars": ["%a", "%b"]}, ["va", "vb"],
                [block([op("greater", "gt", {"x": "%d", "y": const(i32(0))})], ["%gt"], ["d", "e"]),
                 block([op("sub", "dec", {"x": "%d", "y": const(i32(1))}),
                        op("add", "more", {"x": "%e", "y": "%a"})], ["%dec", "%more"], ["d", "e"])])
    add_program(cases, "while_loop", "iOS18", {"n": i32(5), "z": i32(7)},
                loop(["b"], ([nested], ["%vb"]), ["wz"], variables=["%z"]), ["%wi", "%wz"])


def new_list(length, shape, dtype, dynamic=False):
    return op("make_list", "ls",
              {"init_length": const(i32(length)), "dynamic_length": const(yes(dynamic)),
                                  "elem_shape": [const(i32(n)) for n in shape],
                                  "dtype": const(text(dtype))})


def list_cases(cases):
    for number, dtype in enumerate(("fp32", "fp16", "int32")):
        opset = ("iOS15", "iOS16", "iOS18")[number]
        draw = cases.draw("list_scatter")
        feeds = {"x": draw.values(dtype, [3, 2]), "y": draw.values(dtype, [2])}
        filled = [new_list(3, [2], dtype),
                  op("list_scatter", "all",
                     {"ls": "%ls", "indices": const(i32([2, 0, 1])), "value": "%x"})]
        # One element is replaced; the list before is still what it was.
        changed = op("list_write", "new", {"ls": "%all", "index": const(i32(1)), "value": "%y"})
        ops = {
            "make_list": ([op("list_gather", "g", {"ls": "%ls", "indices": const(i32([1, 2]))})],
                          ["%g"]),
            "list_scatter": ([op("list_gather", "g",
                                 {"ls": "%all", "indices": const(i32([0, 1, 2]))})],
                             ["%g"]),
            "list_write": ([changed,
                            op("list_gather", "g",
                               {"ls": "%new", "indices": const(i32([0, 1, 2]))}),
                            op("list_read", "r", {"ls": "%all", "index": const(i32(1))})],
                           ["%g", "%r"]),
            "list_read": ([op("list_read", "r0", {"ls": "%all", "index": const(i32(2))}),
                           op("list_read", "r1", {"ls": "%all", "index": const(i32(0))})],
                          ["%r0", "%r1"]),
            "list_gather": ([op("list_gather", "g",
                                {"ls": "%all", "indices": const(i32([1, 1, 0, 2]))})],
                            ["%g"]),
            "list_length": ([op("list_length", "l", {"ls": "%all"})], ["%l"]),
        }
        for position, (kind, (tail, outputs)) in enumerate(ops.items()):
            if position % 3 == number:  # two dtypes for each of them
                continue
            add_program(cases, kind, opset, feeds, [*filled, *tail], outputs)
    grown_list_cases(cases)


def grown_list_cases(cases):
    """A list of dynamic length that is written behind its end, and lists at indices of the run."""
    x = cases.draw("list_write").floats("fp32", [2, 2])
    feeds = {"x": x, "i": i32(1)}
    ops = [new_list(1, [2, 2], "fp32", True),
           op("list_write", "one", {"ls": "%ls", "index": const(i32(0)), "value": "%x"}),
           op("square", "sq", {"x": "%x"}),
           op("list_write", "two", {"ls": "%one", "index": "%i", "value": "%sq"}),
           op("list_read", "r", {"ls": "%two", "index": "%i"}),
           op("list_length", "l", {"ls": "%two"})]
    for kind in ("list_write", "list_length"):
        add_program(cases, kind, "iOS15", feeds, ops, ["%r", "%l"], tol=POINTWISE["fp32"])
    body = ([op("add", "d", {"x": "%x", "y": "%x"}),
             op("list_write", "lw", {"ls": "%b", "index": "%a", "value": "%d"})], ["%lw"])
    gathered = [op("list_gather", "g", {"ls": "%wl", "indices": const(i32([2, 0]))})]
    add_program(cases, "list_write", "iOS17", {"x": x, "n": i32(3)},
                loop(["b"], body, ["wl"], [new_list(3, [2, 2], "fp32")], ["%ls"]) + gathered,
                ["%g"])


def state_cases(cases):
    for dtype in ("fp16", "fp32", "int32"):
        for kind in ("read_state", "coreml_update_state", "write_state"):
            if kind != "write_state" or dtype != "int32":
                state_case(cases, kind, dtype)
    # What was read before the write is not what is written.
    draw = cases.draw("write_state")
    feeds = [{"x": draw.floats("fp16", [3])} for _ in range(3)]
    ops = [op("read_state", "r", {"input": "%s"}),
           op("write_state", "w", {"input": "%s", "data": "%x"}, []),
           op("read_state", "q", {"input": "%s"}),
           op("sub", "d", {"x": "%q", "y": "%r"})]
    add_program(cases, "write_state", "iOS18", feeds[0], ops, ["%r", "%d"], {"s": ("fp16", [3])},
                feeds[1:], POINTWISE["fp16"])
    # A cache of rows, one of which is written by a call.
    rows = [{"x": draw.floats("fp16", [1, 2]), "i": i32([n])} for n in (1, 0, 2)]
    column = const(i32([0]))
    ops = [op("read_state", "r", {"input": "%s"}),
           op("add", "j", {"x": "%i", "y": const(i32([1]))}),
           op("concat", "begin", {"values": ["%i", column], "axis": const(i32(0))}),
           op("concat", "end", {"values": ["%j", const(i32([2]))], "axis": const(i32(0))}),
           op("slice_update", "u", {"x": "%r", "update": "%x", "begin": "%begin", "end": "%end"}),
           op("coreml_update_state", "c", {"state": "%s", "value": "%u"}),
           op("reduce_sum", "y",
              {"x": "%c", "axes": const(i32([0])), "keep_dims": const(yes(False))})]
    add_program(cases, "coreml_update_state", "iOS18", rows[0], ops, ["%y"],
                {"s": ("fp16", [3, 2])},
                rows[1:], SUMS["fp16"])


def state_case(cases, kind, dtype):
    """Three calls that add up what they are given."""
    draw = cases.draw(kind)
    feeds = [{"x": draw.values(dtype, [2, 2])} for _ in range(3)]
    ops = [op("read_state", "r", {"input": "%s"}), op("add", "a", {"x": "%r", "y": "%x"})]
    if kind == "coreml_update_state":
        ops += [op("coreml_update_state", "u", {"state": "%s", "value": "%a"}),
                op("mul", "y", {"x": "%u", "y": const(tensor(dtype, 2))})]
    else:
        ops += [op("write_state", "w", {"input": "%s", "data": "%a"}, []),
                op("sub", "y", {"x": "%a", "y": "%r"})]
    add_program(cases, kind, "iOS18", feeds[0], ops, ["%y"], {"s": (dtype, [2, 2])}, feeds[1:],
                SUMS.get(dtype, EXACT))


def random_cases(cases):
    for number, dtype in enumerate(("fp32", "fp16")):
        opset = ("iOS15", "iOS18")[number]
        for chance in (0, 1):
            cases.add("random_bernoulli", opset, {},
                      {"shape": i32([2, 3]), "prob": tensor(dtype, chance),
                                                      "seed": i32(3 + chance)})
        cases.add("random_uniform", opset, {}, {"shape": i32([4]), "low": tensor(dtype, 1.5),
                                                "high": tensor(dtype, 1.5), "seed": i32(5)})
        cases.add("random_normal", opset, {},
                  {"shape": i32([1, 2, 2]), "mean": tensor(dtype, -0.75),
                                               "stddev": tensor(dtype, 0), "seed": i32(-1)})
        sure = np.where(np.eye(4)[[2, 0, 3]] == 1, 0.0, -30000.0)
        cases.add("random_categorical", opset, {"x": tensor(dtype, sure)},
                  {"mode": text("logits"), "size": i32(3), "seed": i32(7)})
        cases.add("random_categorical", opset, {"x": tensor(dtype, np.eye(3)[[1, 2]])},
                  {"mode": text("probs"), "size": i32(2), "seed": i32(9)})


def classify_cases(cases):
    for opset, labels, dtype in (("iOS15", ["cat", "dog", "bird"], "string"),
                                 ("iOS18", [7, -3, 10**12, 0], "int64"),
                                 ("iOS16", ["a", "b"], "string")):
        numbers = cases.draw("classify").apart("fp32", [len(labels)], 1 / 16)
        numbers = Value("fp32", numbers.data + 0.5)
        cases.add("classify", opset, {"probabilities": numbers}, {"classes": Value(dtype, labels)},
                  {"string": POINTWISE["fp32"], "int64": POINTWISE["fp32"]})


def add_cases(cases):
    cond_cases(cases)
    while_cases(cases)
    list_cases(cases)
    state_cases(cases)
    random_cases(cases)
    classify_cases(cases)
