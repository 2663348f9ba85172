"""Ops that resize, crop and warp images."""

import itertools
import math

import numpy as np

from op_cases_common import EXACT, Value, formula, i32, tensor, text, yes

FAMILY = "image_resizing"

# Products of three numbers in a place: the rounding of a weight counts, too.
WEIGHED = {"fp16": {"rtol": 2e-3, "atol": 1e-3}, "fp32": {"rtol": 1e-5, "atol": 2e-6}}
MODES = ["STRICT_ALIGN_CORNERS", "ALIGN_CORNERS", "DEFAULT", "OFFSET_CORNERS", "UNALIGN_CORNERS"]


def grid_points(size, count, mode):
    """Where `count` points of a dim of `size` are taken."""
    i = np.arange(count, dtype=np.float64)
    if mode in ("STRICT_ALIGN_CORNERS", "ALIGN_CORNERS"):
        if count == 1:
            points = np.array([(size - 1) / 2 if mode == "ALIGN_CORNERS" else 0.0])
        else:
            points = i * (size - 1) / (count - 1)
    elif mode == "DEFAULT":
        points = i * size / count
    elif mode == "OFFSET_CORNERS":
        delta = max(1, size - 1) / count
        points = 0.5 * delta + i * delta
    else:
        points = (i + 0.5) * size / count - 0.5
    return np.clip(points, 0, size - 1)


def interpolated(x, axis, points):
    """Along one axis, between the two elements next to each point."""
    low = np.floor(points).astype(int)
    high = np.minimum(low + 1, x.shape[axis] - 1)
    shape = [-1] + [1] * (x.ndim - 1 - axis % x.ndim)
    part = (points - low).reshape(shape)
    return np.take(x, low, axis) * (1 - part) + np.take(x, high, axis) * part


def taken(x, axis, indices):
    return np.take(x, np.clip(indices, 0, x.shape[axis] - 1).astype(int), axis)


@formula("upsample_nearest_neighbor")
def upsample_nearest_neighbor(a):
    x = a["x"]
    for axis, name in ((-2, "scale_factor_height"), (-1, "scale_factor_width")):
        factor = float(a.get(name, np.array(1)))
        size = math.floor(x.shape[axis] * factor)
        x = taken(x, axis, np.arange(size) * x.shape[axis] // size)
    return a.out(x)


@formula("resize_nearest_neighbor")
def resize_nearest_neighbor(a):
    x = a["x"]
    for axis, name in ((-2, "target_size_height"), (-1, "target_size_width")):
        size = a.integer(name)
        x = taken(x, axis, np.arange(size) * x.shape[axis] // size)
    return a.out(x)


@formula("upsample_bilinear")
def upsample_bilinear(a):
    x = a["x"]
    is_aligned = a.flag("align_corners", True)
    is_half_pixel = a.flag("half_pixel_centers", not is_aligned)
    mode = "UNALIGN_CORNERS" if is_half_pixel else "DEFAULT"
    if is_aligned:
        mode = "STRICT_ALIGN_CORNERS"
    for axis, name in ((-2, "scale_factor_height"), (-1, "scale_factor_width")):
        size = math.floor(x.shape[axis] * float(a.get(name, np.array(1))))
        x = interpolated(x, axis, grid_points(x.shape[axis], size, mode))
    return a.out(x)


@formula("resize_bilinear")
def resize_bilinear(a):
    x, mode = a["x"], a.text("sampling_mode", "DEFAULT")
    for axis, name in ((-2, "target_size_height"), (-1, "target_size_width")):
        x = interpolated(x, axis, grid_points(x.shape[axis], a.integer(name, 1), mode))
    return a.out(x)


@formula("resize")
def resize(a):
    x, shape = a["x"].astype(np.float64), a.integers("shape")
    count = a.integer("resized_dims")
    mode = a.text("sampling_mode", "DEFAULT")
    for axis in range(-count, 0):
        size = shape[axis] or x.shape[axis]
        points = grid_points(x.shape[axis], size, mode)
        if a.text("interpolation_mode", "LINEAR") == "NEAREST_NEIGHBOR":
            x = taken(x, axis, np.floor(points + 0.5))
        else:
            x = interpolated(x, axis, points)
    return a.out(x)


@formula("crop")
def crop(a):
    x = a["x"]
    (top, bottom), (left, right) = a.integers("crop_height"), a.integers("crop_width")
    return a.out(x[..., top:x.shape[-2] - bottom, left:x.shape[-1] - right])


# --- Crops of boxes. ---


def interval_points(begin, end, count, size, mode):
    """Points of [begin, end] by the rules for a dim, whose interval is [0, size - 1]."""
    i = np.arange(count, dtype=np.float64)
    if mode in ("STRICT_ALIGN_CORNERS", "ALIGN_CORNERS"):
        if count == 1:
            return np.array([(begin + end) / 2 if mode == "ALIGN_CORNERS" else begin])
        return begin + i * (end - begin) / (count - 1)
    if mode == "DEFAULT":
        return begin + i * (end - begin + 1) / count
    if mode == "OFFSET_CORNERS":
        delta = max(1, end - begin) / count
        return begin + (i + 0.5) * delta
    return begin + (i + 0.5) * (end - begin + 1) / count - 0.5


def box_corners(box, mode):
    """(top, left, bottom, right)."""
    first = (box[1], box[0], box[3], box[2]) if "WIDTH_FIRST" in mode else tuple(box)
    if mode.startswith("CORNERS"):
        return first
    y, x, height, width = first
    return y - height / 2, x - width / 2, y + height / 2, x + width / 2


def cropped(a, image, box):
    """image [C, H, W]; points outside of it give pad_value."""
    height, width = image.shape[-2:]
    corners = np.array(box_corners(box, a.text("box_coordinate_mode", "CORNERS_HEIGHT_FIRST")))
    if a.flag("normalized_coordinates"):
        corners = corners * [height - 1, width - 1, height - 1, width - 1]
    corners = corners * (a["spatial_scale"].item() if a.has("spatial_scale") else 1.0)
    mode = a.text("sampling_mode", "DEFAULT")
    ys = interval_points(corners[0], corners[2], a.integer("target_height", 1), height, mode)
    xs = interval_points(corners[1], corners[3], a.integer("target_width", 1), width, mode)
    out = interpolated(interpolated(image, -2, np.clip(ys, 0, height - 1)), -1,
                       np.clip(xs, 0, width - 1))
    inside = ((ys >= 0) & (ys <= height - 1))[:, None] & ((xs >= 0) & (xs <= width - 1))[None]
    return np.where(inside, out, a.number("pad_value", 0))


@formula("crop_resize")
def crop_resize(a):
    x = a["x"]
    if a.opset >= 17:
        boxes = a["boxes"].astype(np.float64)
        images = a.integers("box_indices", range(len(boxes)))
        return a.out(np.stack([cropped(a, x[image], box) for image, box in zip(images, boxes)]))
    rois = a["roi"].reshape(a["roi"].shape[0], -1)
    if rois.shape[1] == 5:  # the image's index in front
        return a.out(np.stack([cropped(a, x[int(roi[0])], roi[1:])[None] for roi in rois]))
    return a.out(np.stack([np.stack([cropped(a, image, roi) for image in x]) for roi in rois]))


# --- Warps. ---


def pixel(coordinate, size, mode, is_aligned):
    if mode == "unnormalized":
        return coordinate
    if mode == "normalized_zero_to_one":
        coordinate = coordinate * 2 - 1
    if is_aligned:
        return (coordinate + 1) / 2 * (size - 1)
    return ((coordinate + 1) * size - 1) / 2


def reflected(p, low, high):
    """Mirrored at both ends until it is between them."""
    if high <= low:
        return low
    period = 2 * (high - low)
    p = (p - low) % period
    return low + (p if p <= high - low else period - p)


def sample(image, y, x, sampling, padding, number):
    """image [C, H, W] at one place."""
    height, width = image.shape[-2:]
    if padding == "border":
        y, x = np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)
    elif padding == "reflection":
        y, x = reflected(y, 0, height - 1), reflected(x, 0, width - 1)
    elif padding == "symmetric":
        y = np.clip(reflected(y, -0.5, height - 0.5), 0, height - 1)
        x = np.clip(reflected(x, -0.5, width - 0.5), 0, width - 1)
    if sampling == "nearest":
        places = [(np.rint(y), np.rint(x), 1.0)]
    else:
        top, left = math.floor(y), math.floor(x)
        places = [(top + dy, left + dx, (y - top if dy else 1 - y + top) *
                   (x - left if dx else 1 - x + left)) for dy,
                  dx in itertools.product((0, 1), (0, 1))]
    out = np.zeros(image.shape[0])
    for row, column, part in places:
        if part == 0:
            continue
        is_inside = 0 <= row < height and 0 <= column < width
        out += part * (image[:, int(row), int(column)] if is_inside else number)
    return out


def warped(a, x, coordinates):
    """x [B, C, H, W], coordinates [B, h, w, 2], of which the first is that of the width."""
    height, width = x.shape[-2:]
    sampling, padding = a.text("sampling_mode").lower(), a.text("padding_mode").lower()
    mode, is_aligned = a.text("coordinates_mode").lower(), a.flag("align_corners")
    number = a.number("padding_value", 0)
    out = np.zeros([x.shape[0], x.shape[1], *coordinates.shape[1:3]])
    for b, i, j in itertools.product(*map(range, coordinates.shape[:3])):
        px, py = coordinates[b, i, j]
        out[b, :, i, j] = sample(x[b], pixel(py, height, mode, is_aligned),
                                 pixel(px, width, mode, is_aligned), sampling, padding, number)
    return out


@formula("resample")
def resample(a):
    return a.out(warped(a, a["x"], a["coordinates"].astype(np.float64)))


@formula("affine")
def affine(a):
    """An output place, in [-1, 1] from corner to corner, is taken from matrix * (x, y, 1)."""
    x = a["x"]
    height, width = a.integer("output_height"), a.integer("output_width")
    ys = np.linspace(-1, 1, height) if height > 1 else np.array([-1.0])
    xs = np.linspace(-1, 1, width) if width > 1 else np.array([-1.0])
    matrices = np.broadcast_to(a["transform_matrix"], [x.shape[0], 6]).reshape(-1, 2, 3)
    grid = np.stack([*np.meshgrid(xs, ys), np.ones([height, width])], axis=-1)
    return a.out(warped(a, x, np.einsum("hwk,bik->bhwi", grid, matrices)))


# --- Cases. ---


def resize_cases(cases):
    for opset, dtype, shape, factors in (("iOS15", "fp32", [1, 2, 3, 2], (2, 3)),
                                         ("iOS16", "fp16", [2, 3, 4], (1, 2)),
                                         ("iOS18", "fp16", [1, 1, 4, 3], (2.5, 1.5))):
        scales = {"scale_factor_height": factor(factors[0]),
                  "scale_factor_width": factor(factors[1])}
        x = cases.draw("upsample_nearest_neighbor").floats(dtype, shape)
        cases.add("upsample_nearest_neighbor", opset, {"x": x}, scales)
        for is_aligned in (True, False):
            x = cases.draw("upsample_bilinear").floats(dtype, shape)
            cases.add("upsample_bilinear", opset, {"x": x},
                      scales | {"align_corners": yes(is_aligned)},
                      WEIGHED)
    x = cases.draw("upsample_bilinear").floats("fp32", [1, 3, 3])
    cases.add("upsample_bilinear", "iOS16", {"x": x},
              {"scale_factor_height": i32(2), "scale_factor_width": i32(2),
               "align_corners": yes(False),
               "half_pixel_centers": yes(False)}, WEIGHED)
    for dtype, shape, height, width in (("fp32", [1, 2, 3, 4], 5, 3), ("fp16", [2, 4, 5], 2, 9),
                                        ("fp16", [1, 1, 7, 6], 3, 1)):
        x = cases.draw("resize_nearest_neighbor").floats(dtype, shape)
        cases.add("resize_nearest_neighbor", "iOS15", {"x": x},
                  {"target_size_height": i32(height), "target_size_width": i32(width)})
    for number, mode in enumerate(MODES):
        for dtype, height, width in (("fp32", 5, 3), ("fp16", 2, 7))[:2 - number % 2]:
            x = cases.draw("resize_bilinear").floats(dtype, [1, 2, 3, 4])
            cases.add("resize_bilinear", ("iOS15", "iOS18")[number % 2], {"x": x},
                      {"target_size_height": i32(height), "target_size_width": i32(width),
                       "sampling_mode": text(mode)}, WEIGHED)
        x = cases.draw("resize_bilinear").floats("fp32", [1, 4, 3])
        cases.add("resize_bilinear", "iOS15", {"x": x}, {"sampling_mode": text(mode)}, WEIGHED)


def factor(number):
    return i32(number) if isinstance(number, int) else tensor("fp32", number)


def newer_resize_cases(cases):
    plan = [("fp32", [1, 3, 4], [5, 6], 2, "LINEAR", "DEFAULT"),
            ("fp16", [2, 3, 3], [0, 7], 2, "LINEAR", "UNALIGN_CORNERS"),
            ("fp16", [2, 2, 5], [9, 9, 3], 1, "LINEAR", "ALIGN_CORNERS"),
            ("fp32", [2, 3, 4], [3, 5, 2], 3, "LINEAR", "STRICT_ALIGN_CORNERS"),
            # Sizes of which no point is half way between two elements: nobody says which is nearest.
            ("fp32", [1, 3, 5], [5, 8], 2, "NEAREST_NEIGHBOR", "UNALIGN_CORNERS"),
            ("int32", [1, 4], [6], 1, "NEAREST_NEIGHBOR", "OFFSET_CORNERS"),
            ("fp16", [3, 4], [5, 6], 2, "LINEAR", "OFFSET_CORNERS")]
    for number, (dtype, shape, target, count, interpolation, mode) in enumerate(plan):
        x = cases.draw("resize").values(dtype, shape)
        cases.add("resize", ("iOS17", "iOS18")[number % 2], {"x": x},
                  {"shape": Value(("int32", "uint16", "int16", "uint32")[number % 4], target),
                   "resized_dims": tensor("uint32", count),
                   "interpolation_mode": text(interpolation),
                   "sampling_mode": text(mode)}, WEIGHED)


def crop_cases(cases):
    for dtype, shape, height, width in (("fp32", [1, 2, 5, 6], [1, 2], [0, 3]),
                                        ("fp16", [3, 4, 4], [0, 0], [1, 2]),
                                        ("fp16", [2, 1, 2, 3, 5], [0, 1], [2, 2])):
        x = cases.draw("crop").floats(dtype, shape)
        cases.add("crop", "iOS15", {"x": x}, {"crop_height": i32(height), "crop_width": i32(width)})


def box_cases(cases):
    # Corners whose points stay inside of the image.
    boxes = [[0.25, 0.5, 2.5, 2.25], [1, 0, 3, 3.75], [0, 0, 2, 2]]
    centers = [[1.5, 1.75, 2.5, 3], [2, 1.5, 1, 2]]
    swapped = [[box[i] for i in (1, 0, 3, 2)] for box in boxes]
    for number, (opset, dtype, numbers, mode) in enumerate((
            ("iOS15", "fp32", boxes, "CORNERS_HEIGHT_FIRST"),
            ("iOS16", "fp16", swapped, "CORNERS_WIDTH_FIRST"),
            ("iOS17", "fp16", boxes, "CORNERS_HEIGHT_FIRST"),
            ("iOS18", "fp32", centers, "CENTER_SIZE_HEIGHT_FIRST"),
            ("iOS17", "fp32", [[c[i] for i in (1, 0, 3, 2)] for c in centers],
             "CENTER_SIZE_WIDTH_FIRST"))):
        x = cases.draw("crop_resize").floats(dtype, [2, 2, 4, 5])
        attrs = {"target_height": i32(2 + number % 2), "target_width": i32(3),
                 "box_coordinate_mode": text(mode),
                 "sampling_mode": text("STRICT_ALIGN_CORNERS" if number % 2 else "ALIGN_CORNERS")}
        if opset in ("iOS15", "iOS16"):
            inputs = {"x": x, "roi": tensor(dtype, numbers, [len(numbers), 1, 4, 1, 1])}
        else:
            inputs = {"x": x, "boxes": tensor(dtype, numbers)}
            attrs["box_indices"] = i32([1, 0, 1][:len(numbers)])
        cases.add("crop_resize", opset, inputs, attrs, WEIGHED)
    x = cases.draw("crop_resize").floats("fp32", [2, 1, 3, 3])
    cases.add("crop_resize", "iOS17",
              {"x": x, "boxes": tensor("fp32", [[0, 0, 1, 1], [0.25, 0.5, 0.75, 0.5]])},
              {"normalized_coordinates": yes(), "target_height": i32(3), "target_width": i32(2),
               "sampling_mode": text("ALIGN_CORNERS")}, WEIGHED)
    x = cases.draw("crop_resize").floats("fp16", [1, 1, 4, 4])
    cases.add("crop_resize", "iOS15",
              {"x": x, "roi": tensor("fp16", [[0, 1, 2, 6, 5]], [1, 1, 5, 1, 1])},
              {"spatial_scale": tensor("fp32", 0.5), "target_height": i32(2),
               "target_width": i32(4),
               "sampling_mode": text("STRICT_ALIGN_CORNERS")}, WEIGHED)
    x = cases.draw("crop_resize").floats("fp32", [1, 2, 3, 3])  # some points are outside
    cases.add("crop_resize", "iOS17", {"x": x, "boxes": tensor("fp32", [[-1, 0, 3, 4]])},
              {"target_height": i32(5), "target_width": i32(5), "pad_value": tensor("fp32", -7.5),
               "sampling_mode": text("STRICT_ALIGN_CORNERS")}, WEIGHED)


def warp_cases(cases):
    for number, (padding, coordinates) in enumerate(itertools.product(
            ("constant", "border", "reflection", "symmetric"),
            ("unnormalized", "normalized_minus_one_to_one", "normalized_zero_to_one"))):
        sampling = ("bilinear", "nearest")[(number + number // 3) % 2]
        dtype = ("fp32", "fp16")[number // 2 % 2]
        draw = cases.draw("resample")
        low, high, parts = {"unnormalized": (-2, 6, 8),
                            "normalized_minus_one_to_one": (-1.5, 1.5, 16),
                            "normalized_zero_to_one": (-0.25, 1.25, 32)}[coordinates]
        is_aligned = number % 4 < 2
        places = draw.floats("fp32", [1, 2, 4, 2], low, high, parts)
        if sampling == "nearest":  # never half way between two pixels
            places = away_from_halves(places, coordinates, is_aligned)
        cases.add("resample", ("iOS15", "iOS16", "iOS17")[number % 3],
                  {"x": draw.floats(dtype, [1, 2, 3, 4]), "coordinates": places},
                  {"sampling_mode": text(sampling), "padding_mode": text(padding),
                   "padding_value": tensor(dtype, 1.5), "coordinates_mode": text(coordinates),
                   "align_corners": yes(is_aligned)}, WEIGHED if sampling == "bilinear" else EXACT)
    for opset, dtype in (("iOS15", "int32"), ("iOS17", "uint8"), ("iOS17", "int16")):
        draw = cases.draw("resample")
        places = draw.ints(dtype, [2, 1, 3, 2], 0 if dtype == "uint8" else -1, 4)
        cases.add("resample", opset,
                  {"x": draw.floats("fp32", [2, 1, 3, 4]), "coordinates": places},
                  {"sampling_mode": text("bilinear"), "padding_mode": text("constant"),
                   "padding_value": tensor("fp32", -2), "coordinates_mode": text("unnormalized"),
                   "align_corners": yes()}, WEIGHED)
    for dtype, batch, rows, height, width in (("fp32", 2, 1, 3, 4), ("fp16", 2, 2, 2, 3),
                                              ("fp32", 1, 1, 5, 2)):
        draw = cases.draw("affine")
        cases.add("affine", "iOS15",
                  {"x": draw.floats(dtype, [batch, 2, 3, 4]),
                   "transform_matrix": draw.floats(dtype, [rows, 6], -1, 1, 8)},
                  {"output_height": i32(height), "output_width": i32(width),
                   "sampling_mode": text("bilinear"), "padding_mode": text("constant"),
                   "padding_value": tensor(dtype, 0),
                   "coordinates_mode": text("normalized_minus_one_to_one"), "align_corners": yes()},
                  WEIGHED)


def away_from_halves(places, mode, is_aligned):
    """Moves what is within 1/16 of a pixel of half way between two of them, or of where a mirror
    turns."""
    for axis, size in ((0, 4), (1, 3)):
        part = places.data[..., axis]
        for _ in range(4):
            doubled = pixel(part, size, mode, is_aligned) * 2
            is_near = (np.abs(doubled - np.rint(doubled)) < 0.125) & (np.rint(doubled) % 2 == 1)
            part[is_near] += 0.09375
    return Value(places.dtype, places.data)


def add_cases(cases):
    resize_cases(cases)
    newer_resize_cases(cases)
    crop_cases(cases)
    box_cases(cases)
    warp_cases(cases)
