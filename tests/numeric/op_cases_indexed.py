"""Ops that take, put, order or choose elements by indices."""

import numpy as np

from op_cases_common import EXACT, Value, formula, i32, tensor, text, yes

FAMILY = "indexed"


@formula("gather")
def gather(a):
    x, indices = a["x"], a["indices"]
    axis = a.integer("axis", 0) % x.ndim
    batch = a.integer("batch_dims", 0)
    if batch == 0:
        return a.out(np.take(x, indices, axis))
    parts = [np.take(x[place], indices[place],
                     axis - batch) for place in np.ndindex(*x.shape[:batch])]
    return a.out(np.stack(parts).reshape(*x.shape[:batch], *parts[0].shape))


@formula("gather_along_axis")
def gather_along_axis(a):
    axis = a.integer("axis", 0)
    return a.out(np.take_along_axis(a["x"], a["indices"], axis))


@formula("gather_nd")
def gather_nd(a):
    x, indices = a["x"], a["indices"]
    batch = a.integer("batch_dims", 0)
    out = [x[(*place[:batch],
              *map(int, indices[place]))] for place in np.ndindex(*indices.shape[:-1])]
    return a.out(np.array(out).reshape(indices.shape[:-1] + x.shape[batch + indices.shape[-1]:]))


COMBINE = {
    "update": lambda old, new: new,
    "add": lambda old, new: old + new,
    "sub": lambda old, new: old - new,
    "mul": lambda old, new: old * new,
    "div": lambda old, new: old / new if old.dtype != np.int64 else old // new,
    "max": np.maximum,
    "min": np.minimum,
}


def put(a, data, place, update):
    data[place] = COMBINE[a.text("mode", "add")](data[place], update)


@formula("scatter")
def scatter(a):
    data, indices, updates = a["data"].copy(), a["indices"], a["updates"]
    axis = a.integer("axis", 0) % data.ndim
    for place in np.ndindex(*indices.shape):
        put(a, data, (slice(None),) * axis + (int(indices[place]),),
            updates[(slice(None),) * axis + place])
    return a.out(data, "data")


@formula("scatter_along_axis")
def scatter_along_axis(a):
    data, indices, updates = a["data"].copy(), a["indices"], a["updates"]
    axis = a.integer("axis", 0) % data.ndim
    for place in np.ndindex(*indices.shape):
        put(a, data, (*place[:axis], int(indices[place]), *place[axis + 1:]), updates[place])
    return a.out(data, "data")


@formula("scatter_nd")
def scatter_nd(a):
    data, indices, updates = a["data"].copy(), a["indices"], a["updates"]
    for place in np.ndindex(*indices.shape[:-1]):
        put(a, data, tuple(map(int, indices[place])), updates[place])
    return a.out(data, "data")


# --- Order. ---


def order(x, axis, is_ascending):
    """Indices that sort; of equals the first in front."""
    return np.argsort(x if is_ascending else -x, axis=axis, kind="stable")


@formula("argsort")
def argsort(a):
    return Value("int32", order(a["x"], a.integer("axis", -1), a.flag("ascending")))


@formula("topk")
def topk(a):
    x, axis = a["x"], a.integer("axis", -1)
    k = a.integer("k", 1)
    if k == -1:
        k = x.shape[axis]
    # `ascending` asks for the smallest.
    indices = np.take(order(x, axis, a.flag("ascending")), range(k), axis)
    out = [a.out(np.take_along_axis(x, indices, axis))]
    if a.flag("return_indices", True):
        out.append(Value(a.text("output_indices_dtype", "int32"), indices))
    return out


@formula("non_zero")
def non_zero(a):
    return Value("int32", np.stack(np.nonzero(a["x"]), axis=-1).reshape(-1, a["x"].ndim))


@formula("one_hot")
def one_hot(a):
    indices, size = a["indices"], a.integer("one_hot_vector_size")
    axis = a.integer("axis", -1)
    hot = np.expand_dims(indices, axis)
    shape = [1] * hot.ndim
    shape[axis] = size
    # Indices outside of the vector, negative ones too, make nothing hot.
    is_on = hot == np.arange(size).reshape(shape)
    dtype = a.dtype("on_value") if a.has("on_value") else "int32"
    return Value(dtype, np.where(is_on, a.get("on_value", 1), a.get("off_value", 0)))


# --- Boxes: (x, y, width, height), the centre and the size. ---


def overlap(one, other):
    """Intersection over union."""
    width = (min(one[0] + one[2] / 2, other[0] + other[2] / 2) -
             max(one[0] - one[2] / 2, other[0] - other[2] / 2))
    height = (min(one[1] + one[3] / 2, other[1] + other[3] / 2) -
              max(one[1] - one[3] / 2, other[1] - other[3] / 2))
    shared = max(0, width) * max(0, height)
    union = one[2] * one[3] + other[2] * other[3] - shared
    return shared / union if union > 0 else 0


def survivors(boxes, scores, a, threshold):
    """Greedy: the best score first; a box goes when a better one that stays covers it too much, of
    the same class with per_class_suppression."""
    best, classes = scores.max(axis=1), scores.argmax(axis=1)
    kept = []
    for i in order(best, 0, False):
        if threshold is not None and best[i] < threshold:
            continue
        rivals = [j for j in kept
                  if not a.flag("per_class_suppression") or classes[i] == classes[j]]
        if all(overlap(boxes[i], boxes[j]) <= a["iou_threshold"] for j in rivals):
            kept.append(int(i))
    return kept[:a.integer("max_boxes")]


@formula("non_maximum_suppression")
def non_maximum_suppression(a):
    is_new = a.opset >= 17
    boxes, scores = a["boxes"], a["scores"]
    if is_new:
        boxes, scores = np.swapaxes(boxes, 1, 2), np.swapaxes(scores, 1, 2)
    count = a.integer("max_boxes")
    batch = len(boxes)
    out_boxes = np.zeros([batch, count, 4])
    out_scores = np.zeros([batch, count, scores.shape[2]])
    indices = np.full([batch, count], -1)
    counts = np.zeros([batch])
    for n in range(batch):
        threshold = a["score_threshold"] if a.has("score_threshold") else None
        kept = survivors(boxes[n], scores[n], a, threshold)
        out_boxes[n, :len(kept)] = boxes[n, kept]
        out_scores[n, :len(kept)] = scores[n, kept]
        indices[n, :len(kept)] = kept
        counts[n] = len(kept)
    if is_new:
        out_boxes, out_scores = np.swapaxes(out_boxes, 1, 2), np.swapaxes(out_scores, 1, 2)
    out = [a.out(out_boxes, "boxes"), a.out(out_scores, "scores"), Value("int32", indices)]
    return out if is_new else [*out, Value("int32", counts)]


# --- Cases. ---


def gather_cases(cases):
    plan = [("iOS15", "fp32", "int32", [4, 3], [2, 2], 0, 0),
            ("iOS16", "fp16", "uint16", [2, 5, 3], [4], 1, 0),
            ("iOS16", "int32", "int16", [2, 3, 4], [2, 3], 2, 1),
            ("iOS17", "uint8", "uint8", [6], [3, 1], 0, 0),
            ("iOS18", "int8", "int8", [2, 3, 4], [5], -1, 0),
            ("iOS18", "fp16", "int32", [2, 2, 3, 2], [2, 2, 4], 2, 2),
            ("iOS15", "fp32", "int32", [5], [], 0, 0)]
    for opset, dtype, index, shape, places, axis, batch in plan:
        draw = cases.draw("gather")
        attrs = {"axis": i32(axis)}
        if opset != "iOS15":
            attrs["batch_dims"] = i32(batch)
        cases.add("gather", opset, {"x": draw.values(dtype, shape),
                                    "indices": draw.ints(index, places, 0, shape[axis] - 1)}, attrs)
    cases.add("gather", "iOS17", {"x": tensor("fp16", [1, 2, 3])}, {"indices": i32([2, 0, 2]),
                                                                  "validate_indices": yes()})
    for opset, dtype, index, shape, axis, count in (("iOS15", "fp32", "int32", [3, 4], 0, 2),
                                                    ("iOS16", "fp16", "uint16", [2, 3, 4], 1, 5),
                                                    ("iOS17", "int16", "int8", [4, 2], -2, 3),
                                                    ("iOS18", "int32", "int16", [2, 6], 1, 6)):
        draw = cases.draw("gather_along_axis")
        places = [count if i == axis % len(shape) else n for i, n in enumerate(shape)]
        cases.add("gather_along_axis", opset,
                  {"x": draw.values(dtype, shape),
                   "indices": draw.ints(index, places, 0, shape[axis] - 1)},
                  {"axis": i32(axis)})
    for opset, dtype, index, shape, places, depth, batch in (
            ("iOS15", "fp32", "int32", [3, 4, 2], [5], 2, 0),
            ("iOS16", "fp16", "int16", [2, 3, 4], [2, 3], 1, 1),
            ("iOS17", "uint16", "uint8", [4, 3], [2, 2], 2, 0),
            ("iOS18", "int32", "int32", [2, 2, 3, 2], [2, 2], 2, 1),
            ("iOS18", "fp32", "uint16", [5], [3], 1, 0)):
        draw = cases.draw("gather_nd")
        indices = np.stack([draw.state.randint(0, shape[batch + i], size=places)
                            for i in range(depth)], axis=-1)
        attrs = {} if opset == "iOS15" else {"batch_dims": i32(batch)}
        cases.add("gather_nd", opset,
                  {"x": draw.values(dtype, shape), "indices": Value(index, indices)},
                  attrs)


def scatter_cases(cases):
    for number, mode in enumerate(COMBINE):
        # fp32 always, and one of the others; what a quotient of integers is, nobody says.
        for dtype in ("fp32",
                      "fp16" if number % 2 or mode == "div" else "int32")[:1 + (number < 5)]:
            opset = ("iOS15", "iOS16", "iOS17", "iOS18")[number % 4]
            tol = {"fp16": {"rtol": 2e-3, "atol": 2e-3}, "fp32": {"rtol": 1e-6, "atol": 1e-6}}
            tol = tol if mode in ("add", "sub", "mul", "div") else EXACT
            # Where the last one wins, no place is written twice.
            repeats = mode != "update"
            draw = cases.draw("scatter")
            indices = [1, 3, 1] if repeats else [3, 0, 1]
            cases.add("scatter", opset,
                      {"data": values(draw, dtype, [2, 4, 2]), "indices": i32(indices),
                       "updates": values(draw, dtype, [2, 3, 2])},
                      {"axis": i32(1), "mode": text(mode)},
                      tol)
            draw = cases.draw("scatter_along_axis")
            places = (draw.ints("int32", [3, 3], 0, 3).data if repeats else
                      np.stack([draw.state.permutation(4)[:3] for _ in range(3)], axis=1))
            cases.add("scatter_along_axis", opset,
                      {"data": values(draw, dtype, [4, 3]), "indices": i32(places),
                       "updates": values(draw, dtype, [3, 3])},
                      {"axis": i32(0), "mode": text(mode)}, tol)
            draw = cases.draw("scatter_nd")
            places = [[0, 1], [2, 0], [0, 1] if repeats else [1, 1]]
            cases.add("scatter_nd", opset,
                      {"data": values(draw, dtype, [3, 2, 2]), "indices": i32(places),
                       "updates": values(draw, dtype, [3, 2])}, {"mode": text(mode)}, tol)
    draw = cases.draw("scatter")
    cases.add("scatter", "iOS15",
              {"data": draw.floats("fp32", [3, 2]), "indices": i32([[2, 0], [1, 1]]),
                                   "updates": draw.floats("fp32", [2, 2, 2])}, {},
              {"fp32": {"rtol": 1e-6, "atol": 1e-6}})


def values(draw, dtype, shape):
    """None of them 0, to be divided by."""
    out = draw.values(dtype, shape)
    out.data[out.data == 0] = 3
    return out


def order_cases(cases):
    for number, (opset, dtype, shape, axis) in enumerate((
            ("iOS15", "fp32", [3, 5], -1), ("iOS16", "fp16", [4, 2, 3], 0),
            ("iOS18", "int32", [2, 6, 2], 1), ("iOS17", "fp16", [17], 0))):
        attrs = {"axis": i32(axis), "ascending": yes(number % 2 == 1)}
        x = cases.draw("argsort").apart(dtype, shape, 1 if dtype == "int32" else 1 / 16)
        cases.add("argsort", opset, {"x": x}, attrs)
        x = cases.draw("topk").apart(dtype, shape, 1 if dtype == "int32" else 1 / 16)
        cases.add("topk", opset, {"x": x},
                  attrs | {"k": i32(1 + number)} if shape[axis] > number else attrs)
    for opset, dtype, k, more in (("iOS17", "int8", "int16",
                                   {"output_indices_dtype": text("uint16")}),
                                  ("iOS18", "uint16", "int8", {}),
                                  ("iOS16", "fp32", "int32", {"return_indices": yes(False)}),
                                  ("iOS17", "uint8", "int32", {"return_indices": yes(False)})):
        x = cases.draw("topk").apart("int32", [2, 5], 1)
        x = Value(dtype, x.data + (6 if dtype.startswith("u") else 0))
        cases.add("topk", opset, {"x": x}, {"k": tensor(k, 3), **more})
    for dtype, shape in (("fp32", [2, 3]), ("int32", [3, 1, 2]), ("bool", [7]),
                         ("fp16", [2, 2, 2])):
        draw = cases.draw("non_zero")
        x = draw.values(dtype, shape)
        if dtype != "bool":
            x.data *= draw.state.randint(0, 2, size=shape)
        cases.add("non_zero", "iOS15", {}, {"x": Value(dtype, x.data)})
    x = tensor("fp16", [0.0, -0.0, 6e-8, float("inf"), -1])
    cases.add("non_zero", "iOS18", {"x": x})
    for number, (dtype, shape, axis) in enumerate((("fp32", [3], -1), ("fp16", [2, 3], 0),
                                                   ("int32", [2, 2], 1), ("bool", [4], 1))):
        indices = cases.draw("one_hot").ints("int32", shape, 0, 3)
        attrs = {"one_hot_vector_size": i32(4), "axis": i32(axis)}
        if dtype != "int32":
            attrs |= {"on_value": tensor(dtype, 1 if dtype == "bool" else 2.5),
                      "off_value": tensor(dtype, 0 if dtype == "bool" else -0.5)}
        cases.add("one_hot", ("iOS15", "iOS16", "iOS17", "iOS18")[number], {"indices": indices},
                  attrs)


def box_cases(cases):
    # Boxes of two places, with scores that are all different.
    near = [[0.5, 0.5, 1, 1], [0.5, 0.625, 1, 1], [3, 3, 2, 2], [3, 3.5, 2, 2],
            [0.5, 0.5, 0.5, 0.5]]
    for number, (opset, dtype, threshold, count, per_class) in enumerate((
            ("iOS15", "fp32", 0.4, 2, False), ("iOS16", "fp16", 0.8, 3, False),
            ("iOS17", "fp16", 0.4, 2, False), ("iOS18", "fp32", 0.4, 3, True),
            ("iOS15", "fp32", 0.4, 5, False), ("iOS17", "fp32", 0.2, 4, True))):
        draw = cases.draw("non_maximum_suppression")
        boxes = tensor(dtype, [near, near[::-1]])
        scores = draw.apart(dtype, [2, 5, 2], 1 / 32)
        scores = Value(dtype, scores.data + 0.5)
        attrs = {"iou_threshold": tensor(dtype, threshold), "max_boxes": i32(count),
                 "per_class_suppression": yes(per_class)}
        if opset in ("iOS15", "iOS16"):
            attrs["score_threshold"] = tensor(dtype, 0.25 if number == 4 else 0)
        else:
            boxes = Value(dtype, np.swapaxes(boxes.data, 1, 2))
            scores = Value(dtype, np.swapaxes(scores.data, 1, 2))
        cases.add("non_maximum_suppression", opset, {"boxes": boxes, "scores": scores}, attrs)


def add_cases(cases):
    gather_cases(cases)
    scatter_cases(cases)
    order_cases(cases)
    box_cases(cases)
