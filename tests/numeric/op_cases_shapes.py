"""Ops that move, repeat, cut or make elements."""

import numpy as np

from op_cases_common import EXACT, SUMS, Arguments, Value, formula, i32, tensor, text, yes

FAMILY = "shapes"


# --- Making. ---


@formula("fill")
def fill(a):
    dtype = a.dtype("value") if a.has("value") else "fp32"
    return Value(dtype, np.full(a.integers("shape"), a.get("value", 0)))


@formula("fill_like")
def fill_like(a):
    dtype = a.dtype("value") if a.has("value") else "fp32"
    return Value(dtype, np.full(a["ref_tensor"].shape, a.get("value", 0)))


@formula("range_1d")
def range_1d(a):
    start, end, step = (a[name].item() for name in ("start", "end", "step"))
    count = max(0, int(np.ceil((end - start) / step)))
    return a.out(start + np.arange(count) * step, "start")


@formula("shape")
def shape(a):
    return Value("int32", a["x"].shape)


@formula("tile")
def tile(a):
    return a.out(np.tile(a["x"], a.integers("reps")))


@formula("band_part")
def band_part(a):
    x = a["x"]
    lower, upper = a.integer("lower", -1), a.integer("upper", -1)
    below = np.arange(x.shape[-2])[:, None] - np.arange(x.shape[-1])
    is_kept = ((lower < 0) | (below <= lower)) & ((upper < 0) | (-below <= upper))
    return a.out(np.where(is_kept, x, 0))


@formula("cumsum")
def cumsum(a):
    x, axis = a["x"], a.integer("axis", 0)
    if a.flag("reverse"):
        x = np.flip(x, axis)
    out = np.cumsum(x, axis)
    if a.flag("exclusive"):
        out = out - x
    return a.out(np.flip(out, axis) if a.flag("reverse") else out)


@formula("pad")
def pad(a):
    x = a["x"]
    pairs = np.array(a.integers("pad")).reshape(-1, 2).tolist()
    widths = [[0, 0]] * (x.ndim - len(pairs)) + pairs
    mode = a.text("mode", "constant")
    if mode == "constant":
        return a.out(np.pad(x, widths, constant_values=a.number("constant_val", 0)))
    return a.out(np.pad(x, widths, mode={"reflect": "reflect", "replicate": "edge"}[mode]))


# --- Shapes. ---


@formula("flatten2d")
def flatten2d(a):
    x = a["x"]
    axis = a.integer("axis", 1)
    rows = int(np.prod(x.shape[:axis if axis >= 0 else axis + x.ndim], dtype=int))
    return a.out(x.reshape(rows, -1))


@formula("expand_dims")
def expand_dims(a):
    return a.out(np.expand_dims(a["x"], tuple(a.integers("axes"))))


@formula("squeeze")
def squeeze(a):
    x = a["x"]
    axes = [n % x.ndim for n in a.integers("axes", range(x.ndim))]
    return a.out(x.reshape([n for i, n in enumerate(x.shape) if n != 1 or i not in axes]))


@formula("reshape")
def reshape(a):
    x, target = a["x"], a.integers("shape")
    # 0 copies the dim at the same place, since iOS17 counted from the right.
    shift = x.ndim - len(target) if a.opset >= 17 else 0
    sizes = [n if n != 0 else (x.shape[i + shift] if 0 <= i + shift < x.ndim else 1)
             for i, n in enumerate(target)]
    return a.out(x.reshape(sizes))


@formula("reshape_like")
def reshape_like(a):
    sizes = []
    for ref, begin, end, mask in zip(*(a.tuple(name)
                                       for name in ("ref_tensors", "begins", "ends", "end_masks"))):
        sizes += ref.shape[int(begin.data):None if mask.data else int(end.data)]
    return a.out(a["x"].reshape(sizes))


@formula("transpose")
def transpose(a):
    return a.out(np.transpose(a["x"], a.integers("perm")))


@formula("reverse")
def reverse(a):
    axes = a.integers("axes", range(a["x"].ndim))
    return a.out(np.flip(a["x"], tuple(axes)))


@formula("reverse_sequence")
def reverse_sequence(a):
    x = a["x"]
    batch, seq = a.integer("batch_axis", 0) % x.ndim, a.integer("seq_axis", 0) % x.ndim
    out = x.copy()
    for place in np.ndindex(*x.shape):
        length = int(a["lengths"][place[batch]])
        if place[seq] < length:
            source = list(place)
            source[seq] = length - 1 - place[seq]
            out[place] = x[tuple(source)]
    return a.out(out)


# --- Blocks. ---


@formula("depth_to_space")
def depth_to_space(a):
    x, b = a["x"], a.integer("block_size")
    n, c, h, w = x.shape
    parts = x.reshape(n, b, b, c // b**2, h, w)  # the place in the block is the major part
    return a.out(parts.transpose(0, 3, 4, 1, 5, 2).reshape(n, c // b**2, h * b, w * b))


@formula("space_to_depth")
def space_to_depth(a):
    x, b = a["x"], a.integer("block_size")
    n, c, h, w = x.shape
    parts = x.reshape(n, c, h // b, b, w // b, b)
    return a.out(parts.transpose(0, 3, 5, 1, 2, 4).reshape(n, c * b * b, h // b, w // b))


@formula("pixel_shuffle")
def pixel_shuffle(a):
    x, b = a["x"], a.integer("upscale_factor")
    n, c, h, w = x.shape
    parts = x.reshape(n, c // b**2, b, b, h, w)  # the place in the block is the minor part
    return a.out(parts.transpose(0, 1, 4, 2, 5, 3).reshape(n, c // b**2, h * b, w * b))


@formula("pixel_unshuffle")
def pixel_unshuffle(a):
    x, b = a["x"], a.integer("downscale_factor")
    n, c, h, w = x.shape
    parts = x.reshape(n, c, h // b, b, w // b, b)
    return a.out(parts.transpose(0, 1, 3, 5, 2, 4).reshape(n, c * b * b, h // b, w // b))


@formula("space_to_batch")
def space_to_batch(a):
    b0, b1 = a.integers("block_shape")
    x = np.pad(a["x"], [(0, 0), (0, 0), *a["paddings"].tolist()])
    n, c, h, w = x.shape
    parts = x.reshape(n, c, h // b0, b0, w // b1, b1)
    return a.out(parts.transpose(3, 5, 0, 1, 2, 4).reshape(n * b0 * b1, c, h // b0, w // b1))


@formula("batch_to_space")
def batch_to_space(a):
    x = a["x"]
    b0, b1 = a.integers("block_shape")
    n, c, h, w = x.shape
    parts = x.reshape(b0, b1, n // (b0 * b1), c, h, w).transpose(2, 3, 4, 0, 5, 1)
    (top, bottom), (left, right) = a["crops"].tolist()
    return a.out(parts.reshape(-1, c, h * b0, w * b1)[:, :, top:h * b0 - bottom,
                                                      left:w * b1 - right])


# --- Parts. ---


@formula("concat")
def concat(a):
    values = a.tuple("values")
    axis = a.integer("axis")
    data = [value.data.reshape(value.shape or (1,)) for value in values]
    if a.flag("interleave"):
        axis %= data[0].ndim
        out = np.stack(data, axis + 1)
        shape = list(data[0].shape)
        shape[axis] *= len(data)
        return Value(values[0].dtype, out.reshape(shape))
    return Value(values[0].dtype, np.concatenate(data, axis))


@formula("stack")
def stack(a):
    values = a.tuple("values")
    return Value(values[0].dtype, np.stack([value.data for value in values], a.integer("axis")))


@formula("split")
def split(a):
    x, axis = a["x"], a.integer("axis")
    sizes = a.integers("split_sizes")
    if sizes is None:
        sizes = [x.shape[axis] // a.integer("num_splits")] * a.integer("num_splits")
    return [a.out(part) for part in np.split(x, np.cumsum(sizes)[:-1], axis)]


@formula("sliding_windows")
def sliding_windows(a):
    x, axis, size = a["x"], a.integer("axis"), a.integer("size")
    axis %= x.ndim
    starts = range(0, x.shape[axis] - size + 1, a.integer("stride", 1))
    return a.out(np.stack([np.take(x, range(s, s + size), axis) for s in starts], axis))


def slices(a, shape):
    """What begin, end, stride and masks choose, before dims are squeezed; and those that are."""
    rank = len(shape)
    begin, end = a.integers("begin"), a.integers("end")
    stride = a.integers("stride", [1] * rank)
    begin_mask, end_mask, squeeze_mask = (a.flags(name, rank)
                                          for name in ("begin_mask", "end_mask", "squeeze_mask"))
    out = []
    for i in range(rank):
        if squeeze_mask[i]:
            at = 0 if begin_mask[i] else begin[i] % shape[i]
            out.append(slice(at, at + 1))
        else:
            out.append(slice(None if begin_mask[i] else begin[i], None if end_mask[i] else end[i],
                             stride[i]))
    return tuple(out), squeeze_mask


def kept(shape, squeeze_mask):
    return [n for n, is_squeezed in zip(shape, squeeze_mask) if not is_squeezed]


@formula("slice_by_index")
def slice_by_index(a):
    x = a["x"]
    place, squeeze_mask = slices(a, x.shape)
    part = x[place]
    return a.out(part.reshape(kept(part.shape, squeeze_mask)))


@formula("slice_by_size")
def slice_by_size(a):
    x = a["x"]
    begin = [b % n if n else 0 for b, n in zip(a.integers("begin"), x.shape)]
    return a.out(x[tuple(slice(b, None if size == -1 else b + size)
                         for b, size in zip(begin, a.integers("size")))])


@formula("slice_update")
def slice_update(a):
    x = a["x"].copy()
    place, _ = slices(a, x.shape)
    x[place] = a["update"].reshape(x[place].shape)
    return a.out(x)


# --- Cases. ---

OLD = ["fp32", "fp16", "int32", "bool"]
NEW = ["int8", "uint8", "int16", "uint16"]
OPSETS = ["iOS15", "iOS16", "iOS18", "iOS17"]


def spread(cases, op, plan, takes_new=True, dtypes=OLD):
    """Each entry (shape of x, attributes) of a plan with another dtype; from iOS17 on the small
    integers are taken, too."""
    for number, (shape_, attrs) in enumerate(plan):
        dtype = dtypes[number % len(dtypes)]
        x = cases.draw(op).values(dtype, shape_)
        cases.add(op, OPSETS[number % 4], {"x": x}, attrs)
    if takes_new:
        for number, dtype in enumerate(NEW[len(op) % 2::2]):
            shape_, attrs = plan[number % len(plan)]
            x = cases.draw(op).values(dtype, shape_)
            cases.add(op, ("iOS17", "iOS18")[number % 2], {"x": x}, attrs)


def making_cases(cases):
    for opset, dims, value in (("iOS15", [2, 3], None), ("iOS16", [4], tensor("fp16", -1.5)),
                               ("iOS17", [1, 2, 2], i32(-7)), ("iOS18", [3], tensor("bool", True))):
        attrs = {} if value is None else {"value": value}
        cases.add("fill", opset, {}, {"shape": i32(dims), **attrs})
    for opset, dtype, value in (("iOS16", "fp32", None), ("iOS16", "int32", tensor("fp16", 0.1)),
                                ("iOS18", "bool", i32(3)), ("iOS17", "fp16", tensor("bool", True))):
        attrs = {} if value is None else {"value": value}
        ref = cases.draw("fill_like").values(dtype, [2, 1, 3])
        cases.add("fill_like", opset, {"ref_tensor": ref}, attrs)
    for number, (dtype, start, end, step) in enumerate((
            ("int32", 2, 11, 3), ("int32", 5, -4, -2), ("fp32", 0, 1, 0.25),
            ("fp16", 1.5, -1, -0.5),
            ("fp32", -1, 2.1, 1), ("int32", -3, -2, 5))):
        cases.add("range_1d", OPSETS[number % 4], {}, {"start": tensor(dtype, start),
                                                       "end": tensor(dtype, end),
                                                       "step": tensor(dtype, step)})
    spread(cases, "shape", [([2, 3], {}), ([7], {}), ([1, 2, 1, 3, 1], {}), ([4, 1, 2], {})], False)
    spread(cases, "tile", [([2, 3], {"reps": i32([2, 1])}), ([3], {"reps": i32([4])}),
                           ([1, 2, 2], {"reps": i32([3, 1, 2])}), ([2, 1], {"reps": i32([1, 1])})],
           False)
    spread(cases, "band_part", [([4, 4], {"lower": i32(1), "upper": i32(0)}),
                                ([2, 3, 5], {"lower": i32(-1), "upper": i32(1)}),
                                ([5, 3], {"lower": i32(2), "upper": i32(-1)}),
                                ([1, 2, 3, 3], {"lower": i32(0), "upper": i32(0)})], False)
    for number, (dtype, shape_, attrs) in enumerate((
            ("fp32", [3, 4], {}), ("fp16", [2, 9], {"axis": i32(-1), "exclusive": yes()}),
            ("int32", [2, 3, 2], {"axis": i32(1), "reverse": yes()}),
            ("fp32", [5], {"exclusive": yes(), "reverse": yes()}))):
        x = cases.draw("cumsum").values(dtype, shape_)
        cases.add("cumsum", OPSETS[number], {"x": x}, attrs, SUMS)
    # A running sum of halves is kept wider: no single 1 is lost beside 2048.
    cases.add("cumsum", "iOS15", {"x": tensor("fp16", [2048] + [1] * 7)}, {}, EXACT)


def padding_cases(cases):
    for number, (dtype, shape_, pads, mode) in enumerate((
            ("fp32", [2, 3], [1, 0, 2, 1], "constant"), ("fp16", [1, 2, 4], [1, 3], "reflect"),
            ("fp32", [1, 3, 3], [2, 1, 1, 2], "reflect"),
            ("fp16", [2, 2, 3], [0, 2, 3, 1], "replicate"),
            ("fp16", [1, 1, 2, 3], [1, 1], "constant"), ("fp32", [3], [2, 2], "replicate"))):
        attrs = {"pad": i32(pads), "mode": text(mode)}
        if mode == "constant":
            attrs["constant_val"] = tensor(dtype, -2.25)
        x = cases.draw("pad").floats(dtype, shape_)
        cases.add("pad", OPSETS[number % 4], {"x": x}, attrs)


def shape_cases(cases):
    spread(cases, "flatten2d", [([2, 3, 4], {}), ([2, 3, 4], {"axis": i32(2)}),
                                ([2, 2, 3], {"axis": i32(0)}), ([3, 1, 2, 2], {"axis": i32(-2)})],
           False)
    spread(cases, "expand_dims", [([2, 3], {"axes": i32([0])}), ([4], {"axes": i32([-1, 0])}),
                                  ([2, 2], {"axes": i32([1, 3])}), ([1, 3], {"axes": i32([-2])})])
    spread(cases, "squeeze", [([1, 3, 1], {}), ([2, 1, 3], {"axes": i32([1])}),
                              ([1, 1, 2], {"axes": i32([0])}), ([1, 2, 1, 2], {"axes": i32([-2])})])
    cases.add("squeeze", "iOS15", {"x": tensor("fp32", [[1.5]])})
    spread(cases, "reshape", [([2, 6], {"shape": i32([3, -1])}), ([4, 3], {"shape": i32([0, 3])}),
                              ([2, 2, 3], {"shape": tensor("int16", [-1])}),
                              ([2, 3, 2], {"shape": tensor("int8", [6, 0])})])
    # From iOS17 on a 0 counts dims from the right: here it is the 4.
    cases.add("reshape", "iOS17", {"x": cases.draw("reshape").floats("fp16", [2, 3, 4])},
              {"shape": i32([6, 0])})
    for opset, dtype, shape_, refs, parts in (
            ("iOS16", "fp32", [2, 6], [[3, 4, 5]], [(0, 2, False)]),
            ("iOS16", "bool", [4, 3], [[7, 2, 2], [3]], [(1, 0, True), (0, 1, False)]),
            ("iOS17", "int8", [8], [[2, 9], [2, 2]], [(0, 1, False), (0, 2, False)]),
            ("iOS18", "fp16", [2, 2, 2], [[1, 4, 2]], [(-2, 0, True)])):
        draw = cases.draw("reshape_like")
        cases.add("reshape_like", opset,
                  {"x": draw.values(dtype, shape_),
                   "ref_tensors": [draw.floats("fp32", ref) for ref in refs]},
                  {"begins": [i32(part[0]) for part in parts],
                   "ends": [i32(part[1]) for part in parts],
                   "end_masks": [yes(part[2]) for part in parts]})
    spread(cases, "transpose",
           [([2, 3], {"perm": i32([1, 0])}), ([2, 3, 4], {"perm": i32([2, 0, 1])}),
                                ([1, 2, 3, 2], {"perm": i32([0, -1, 1, -2])}),
                                ([2, 1, 3, 2, 2], {"perm": i32([4, 2, 0, 3, 1])})])
    spread(cases, "reverse", [([2, 3], {}), ([2, 3, 2], {"axes": i32([1])}),
                              ([5], {"axes": i32([-1])}), ([2, 2, 3], {"axes": i32([0, 2])})])
    for number, (dtype, shape_, lengths, seq, batch) in enumerate((
            ("fp32", [2, 5], [3, 5], 1, 0), ("fp16", [4, 3, 2], [1, 0, 4], 0, 1),
            ("int32", [3, 4], [4, 2, 1], -1, 0), ("bool", [2, 2, 5], [5, 2], 2, 1),
            ("int8", [2, 4], [2, 3], 1, 0), ("uint16", [3, 3], [3, 0, 2], 1, 0))):
        opset = OPSETS[number] if number < 4 else "iOS17"
        kind = "int32" if number < 4 else ("int8", "int16")[number % 2]
        x = cases.draw("reverse_sequence").values(dtype, shape_)
        cases.add("reverse_sequence", opset, {"x": x, "lengths": Value(kind, lengths)},
                  {"seq_axis": i32(seq), "batch_axis": i32(batch)})


def block_cases(cases):
    for op, name, plan in (
            ("depth_to_space", "block_size",
             [([1, 8, 2, 3], 2), ([2, 9, 1, 2], 3), ([1, 4, 3, 1], 2)]),
            ("pixel_shuffle", "upscale_factor",
             [([1, 8, 2, 3], 2), ([2, 9, 1, 2], 3), ([1, 4, 3, 1], 2)]),
            ("space_to_depth", "block_size",
             [([1, 2, 4, 6], 2), ([2, 1, 3, 6], 3), ([1, 3, 2, 4], 2)]),
            ("pixel_unshuffle", "downscale_factor", [([1, 2, 4, 6], 2), ([2, 1, 3, 6], 3),
                                                     ([1, 3, 2, 4], 2)])):
        for number, (shape_, size) in enumerate(plan):
            x = cases.draw(op).floats(("fp32", "fp16")[number % 2], shape_)
            kind = "uint32" if op == "pixel_unshuffle" else "int32"
            cases.add(op, ("iOS16", "iOS18", "iOS17")[number], {"x": x}, {name: tensor(kind, size)})
    for dtype, shape_, block, pads in (("fp32", [1, 2, 4, 6], [2, 3], [[0, 0], [0, 0]]),
                                       ("fp16", [2, 1, 3, 4], [2, 2], [[1, 0], [1, 1]]),
                                       ("fp32", [1, 3, 2, 2], [1, 2], [[0, 1], [2, 0]])):
        x = cases.draw("space_to_batch").floats(dtype, shape_)
        cases.add("space_to_batch", "iOS15", {"x": x},
                  {"block_shape": i32(block), "paddings": i32(pads)})
        x = cases.draw("batch_to_space").floats(dtype, [block[0] * block[1] * 2, 2, 3, 2])
        cases.add("batch_to_space", "iOS15", {"x": x},
                  {"block_shape": i32(block), "crops": i32(pads)})


def part_cases(cases):
    for number, (dtype, shapes, attrs) in enumerate((
            ("fp32", [[2, 3], [2, 1], [2, 2]], {"axis": i32(1)}),
            ("fp16", [[2, 2, 3], [1, 2, 3]], {"axis": i32(-3)}),
            ("int32", [[2, 3], [2, 3]], {"axis": i32(0), "interleave": yes()}),
            ("bool", [[1, 2, 2], [1, 2, 2]], {"axis": i32(2), "interleave": yes()}),
            ("fp32", [[3, 1, 2]], {"axis": i32(0)}),
            ("fp16", [[], [], []], {"axis": i32(0)}))):
        draw = cases.draw("concat")
        cases.add("concat", OPSETS[number % 4],
                  {"values": [draw.values(dtype, shape_) for shape_ in shapes]}, attrs)
    for number, (dtype, shape_, count, axis) in enumerate((
            ("fp32", [2, 3], 2, 0), ("fp16", [2, 3], 3, -1), ("int32", [], 4, 0),
            ("bool", [3, 2], 2, 1))):
        draw = cases.draw("stack")
        cases.add("stack", OPSETS[number],
                  {"values": [draw.values(dtype, shape_) for _ in range(count)]},
                  {"axis": i32(axis)})
    spread(cases, "split", [([4, 3], {"num_splits": i32(2), "axis": i32(0)}),
                            ([2, 6], {"split_sizes": i32([1, 3, 2]), "axis": i32(-1)}),
                            ([2, 3, 2], {"num_splits": i32(3), "axis": i32(1)}),
                            ([5], {"split_sizes": i32([2, 3]), "axis": i32(0)})], False)
    spread(cases, "sliding_windows", [([6], {"axis": i32(0), "size": i32(3)}),
                                      ([2, 7], {"axis": i32(-1), "size": i32(2), "stride": i32(2)}),
                                      ([5, 2], {"axis": i32(0), "size": i32(5)}),
                                      ([2, 4, 2],
                                       {"axis": i32(1), "size": i32(1), "stride": i32(3)})],
           True, ["fp32", "fp16", "int32"])


SLICES = [
    ([5], {"begin": [1], "end": [4]}),
    ([4, 5], {"begin": [0, -3], "end": [3, -1], "stride": [2, 1]}),
    ([6, 4], {"begin": [4, 1], "end": [0, 3], "stride": [-2, 1], "end_mask": [True, False]}),
    ([2, 3, 4], {"begin": [0, 1, 0], "end": [0, 2, 9], "stride": [1, 1, 3],
                 "begin_mask": [True, False, True], "end_mask": [True, False, True],
                 "squeeze_mask": [False, True, False]}),
    ([3, 7], {"begin": [-1, 6], "end": [0, 1], "stride": [1, -2], "squeeze_mask": [True, False]}),
]


def slice_attrs(options, kind="int32"):
    return {name: Value("bool" if name.endswith("mask") else kind, numbers)
            for name, numbers in options.items()}


def slice_cases(cases):
    spread(cases, "slice_by_index", [(shape_, slice_attrs(options)) for shape_, options in SLICES])
    shape_, options = SLICES[1]
    x = cases.draw("slice_by_index").floats("fp16", shape_)
    cases.add("slice_by_index", "iOS17", {"x": x}, slice_attrs(options, "int8"))
    for number, (shape_, begin, size) in enumerate((([4], [1], [2]), ([3, 5], [1, 2], [-1, 3]),
                                                    ([2, 3, 4], [0, 1, 0], [2, 1, -1]))):
        for dtype in (OLD[number], NEW[number]):
            opset = "iOS17" if dtype in NEW else "iOS15"
            kind = "int32" if dtype in OLD else "int16"
            x = cases.draw("slice_by_size").values(dtype, shape_)
            cases.add("slice_by_size", opset, {"x": x, "begin": Value(kind, begin)},
                      {"size": Value(kind, size)})
    for number, (shape_, options) in enumerate(SLICES):
        dtype = [*OLD, "uint8"][number]
        draw = cases.draw("slice_update")
        attrs = slice_attrs(options, ("int32", "int16")[number % 2])
        x = draw.values(dtype, shape_)
        probe = slice_by_index(Arguments("slice_by_index", 18, {"x": x, **attrs}))
        cases.add("slice_update", "iOS18", {"x": x, "update": draw.values(dtype, probe.shape)},
                  attrs)


def add_cases(cases):
    making_cases(cases)
    padding_cases(cases)
    shape_cases(cases)
    block_cases(cases)
    part_cases(cases)
    slice_cases(cases)
