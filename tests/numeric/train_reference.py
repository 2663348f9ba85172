#!/usr/bin/env python3
"""Makes golden/numeric/train: gradients and steps of small Llama-style models, found without milgen.

Everything is float64 mathematics. Every element of every gradient is a central difference of the
loss, and this script holds a backward pass of its own against them; two Adam steps follow, one for
each sequence, with the losses before and after. golden/README.md, "Training", has the format.

    train_reference.py            writes the files
    train_reference.py --check    makes them again and compares; exit code 3 when one differs
"""

import dataclasses
import json
import pathlib
import struct
import sys

sys.dont_write_bytecode = True

from arithmetic import np
from seeded import random_bits, signed_unit

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "golden/numeric/train"
DIFFERENCE_STEP = 1e-3
LARGEST_DISAGREEMENT = 1e-7  # of backward pass and central differences, in units of the largest


@dataclasses.dataclass(frozen=True)
class Config:
    layers: int = 2
    dim: int = 16
    hidden: int = 24
    heads: int = 2
    kv_heads: int = 2
    head_dim: int = 8
    seq: int = 8
    vocab: int = 24
    eps: float = 1e-5
    theta: float = 10000.0
    residual_scale: float = 1.0
    shared_classifier: bool = True
    rotary: bool = False

    @property
    def group(self):
        return self.heads // self.kv_heads


@dataclasses.dataclass(frozen=True)
class Adam:
    """eps is of the size of gradients, so that a step is a smooth function of them."""

    lr: float = 0.02
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 0.01


SEED = 11
STATIC = Config()
RUN_TIME = Config(hidden=40, heads=4, kv_heads=2, head_dim=6, vocab=26, shared_classifier=False,
                  residual_scale=0.5, rotary=True)
LLAMA2C = Config(hidden=40, heads=4, kv_heads=2, head_dim=4, shared_classifier=False, rotary=True)

# ---------------------------------------------------------------------------------------------
# The model. Activations are [..., channels, positions]: leading axes are of models that differ in
# one weight. Matrices are [..., rows, columns], gains [..., channels, 1].


def group_shapes(c):
    """In the order of checkpoints."""
    queries, keys = c.heads * c.head_dim, c.kv_heads * c.head_dim
    shapes = {}
    for layer in range(c.layers):
        shapes |= {f"layers.{layer}.{name}": shape for name, shape in (
            ("wq", (queries, c.dim)), ("wk", (keys, c.dim)), ("wv", (keys, c.dim)),
            ("wo", (c.dim, queries)), ("w1", (c.hidden, c.dim)), ("w2", (c.dim, c.hidden)),
            ("w3", (c.hidden, c.dim)), ("rms_att", (c.dim, 1)), ("rms_ffn", (c.dim, 1)))}
    shapes |= {"rms_final": (c.dim, 1), "embed": (c.vocab, c.dim)}
    if not c.shared_classifier:
        shapes["classifier"] = (c.vocab, c.dim)
    return shapes


def seeded_weight(name, shape):
    """Values of fp32. Gains are so far from 1 that one too many or too few would show."""
    unit = signed_unit(name, SEED, shape)
    value = 1 + unit / 2 if shape[1] == 1 else unit / np.sqrt(np.float64(shape[1]))
    return value.astype(np.float32).astype(np.float64)


def seeded_weights(c):
    return {name: seeded_weight(name, shape) for name, shape in group_shapes(c).items()}


def seeded_sequence(name, c):
    """Tokens and their targets."""
    ids = (random_bits(name, SEED, c.seq + 1) % np.uint64(c.vocab)).astype(np.int64)
    return ids[:-1], ids[1:]


def swap(x):
    return np.swapaxes(x, -1, -2)


def split_heads(x, heads):
    return x.reshape(*x.shape[:-2], heads, -1, x.shape[-1])


def join_heads(x):
    return x.reshape(*x.shape[:-3], -1, x.shape[-1])


def angles(c):
    """Of pair i of a head at position s: [d / 2, S]."""
    frequency = c.theta ** (-2.0 * np.arange(c.head_dim // 2) / c.head_dim)
    return frequency[:, None] * np.arange(c.seq)


def rotate(x, c, direction=1):
    """Turns each pair of neighbouring channels of a head, [..., d, S], by its angle."""
    if not c.rotary:
        return x
    turned = (x[..., 0::2, :] + 1j * x[..., 1::2, :]) * np.exp(1j * direction * angles(c))
    return np.stack([turned.real, turned.imag], axis=-2).reshape(x.shape)


def rms_norm(x, gain, c):
    return x / np.sqrt(np.mean(x * x, axis=-2, keepdims=True) + c.eps) * gain


def softmax(x, axis):
    powers = np.exp(x - x.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


def attention(q, k, v, c):
    """q [..., N, d, S]; k, v [..., KV heads, d, S]. The result, and the probabilities."""
    k, v = (np.repeat(t, c.group, axis=-3) for t in (k, v))
    scores = swap(q) @ k / np.sqrt(c.head_dim)
    seen = np.tril(np.ones((c.seq, c.seq), bool))
    probs = softmax(np.where(seen, scores, -np.inf), -1)
    return v @ swap(probs), probs


def layer_forward(x, w, c):
    """The residual stream behind a layer, and what its backward pass needs."""
    xn = rms_norm(x, w["rms_att"], c)
    q = rotate(split_heads(w["wq"] @ xn, c.heads), c)
    k = rotate(split_heads(w["wk"] @ xn, c.kv_heads), c)
    v = split_heads(w["wv"] @ xn, c.kv_heads)
    heads, probs = attention(q, k, v, c)
    mixed = join_heads(heads)
    x2 = x + c.residual_scale * (w["wo"] @ mixed)
    x2n = rms_norm(x2, w["rms_ffn"], c)
    h1, h3 = w["w1"] @ x2n, w["w3"] @ x2n
    gate = h1 / (1 + np.exp(-h1)) * h3
    out = x2 + c.residual_scale * (w["w2"] @ gate)
    return out, (x, xn, q, k, v, probs, mixed, x2, x2n, h1, h3, gate)


def layer_weights(w, layer):
    prefix = f"layers.{layer}."
    return {name[len(prefix):]: value for name, value in w.items() if name.startswith(prefix)}


def classifier(w):
    return w.get("classifier", w["embed"])


def forward(w, tokens, c):
    """Logits [..., V, S], and what the backward pass needs."""
    x = swap(w["embed"][..., tokens, :])
    kept = []
    for layer in range(c.layers):
        x, of_layer = layer_forward(x, layer_weights(w, layer), c)
        kept.append(of_layer)
    xf = rms_norm(x, w["rms_final"], c)
    return classifier(w) @ xf, (kept, x, xf)


def cross_entropy(logits, targets):
    shifted = logits - logits.max(axis=-2, keepdims=True)
    log_sum = np.log(np.exp(shifted).sum(axis=-2))
    return np.mean(log_sum - shifted[..., targets, np.arange(len(targets))], axis=-1)


def loss_of(w, sequence, c):
    tokens, targets = sequence
    return cross_entropy(forward(w, tokens, c)[0], targets)


# ---------------------------------------------------------------------------------------------
# Backward, of one model.


def rms_norm_backward(dy, x, gain, c):
    """dx and dgain. With r the root, y = x g / r and dr/dx = x / (D r)."""
    root = np.sqrt(np.mean(x * x, axis=0, keepdims=True) + c.eps)
    along = np.sum(dy * gain * x, axis=0, keepdims=True)
    dx = dy * gain / root - x * along / (c.dim * root**3)
    return dx, np.sum(dy * x / root, axis=1, keepdims=True)


def of_group(x, c):
    """Sums what the query heads of a key-value head give."""
    return x.reshape(c.kv_heads, c.group, c.head_dim, c.seq).sum(axis=1)


def attention_backward(da, q, k, v, probs, c):
    """Gradients at q, k, v from that at the result, [N, d, S]."""
    k, v = (np.repeat(t, c.group, axis=0) for t in (k, v))
    dv = da @ probs
    dprobs = swap(da) @ v
    dscores = probs * (dprobs - np.sum(probs * dprobs, axis=-1, keepdims=True))
    dscores /= np.sqrt(c.head_dim)
    return k @ swap(dscores), of_group(q @ dscores, c), of_group(dv, c)


def layer_backward(dout, w, kept, c):
    x, xn, q, k, v, probs, mixed, x2, x2n, h1, h3, gate = kept
    dy = c.residual_scale * dout
    dgate = w["w2"].T @ dy
    sigma = 1 / (1 + np.exp(-h1))
    dh1 = dgate * h3 * sigma * (1 + h1 * (1 - sigma))
    dh3 = dgate * h1 * sigma
    from_norm, dgain_ffn = rms_norm_backward(w["w1"].T @ dh1 + w["w3"].T @ dh3, x2, w["rms_ffn"], c)
    dx2 = dout + from_norm

    do = c.residual_scale * dx2
    da = split_heads(w["wo"].T @ do, c.heads)
    dq, dk, dv = attention_backward(da, q, k, v, probs, c)
    dq, dk, dv = (join_heads(t) for t in (rotate(dq, c, -1), rotate(dk, c, -1), dv))
    dxn = w["wq"].T @ dq + w["wk"].T @ dk + w["wv"].T @ dv
    from_norm, dgain_att = rms_norm_backward(dxn, x, w["rms_att"], c)
    return dx2 + from_norm, {
        "wq": dq @ xn.T, "wk": dk @ xn.T, "wv": dv @ xn.T, "wo": do @ mixed.T,
        "w1": dh1 @ x2n.T, "w2": dy @ gate.T, "w3": dh3 @ x2n.T,
        "rms_att": dgain_att, "rms_ffn": dgain_ffn}


def gradients(w, sequence, c):
    tokens, targets = sequence
    logits, (kept, x, xf) = forward(w, tokens, c)
    dlogits = softmax(logits, 0)
    dlogits[targets, np.arange(c.seq)] -= 1
    dlogits /= c.seq
    found = {name: np.zeros_like(value) for name, value in w.items()}
    found["classifier" if "classifier" in w else "embed"] += dlogits @ xf.T
    dx, found["rms_final"] = rms_norm_backward(classifier(w).T @ dlogits, x, w["rms_final"], c)
    for layer in reversed(range(c.layers)):
        dx, of_layer = layer_backward(dx, layer_weights(w, layer), kept[layer], c)
        found |= {f"layers.{layer}.{name}": value for name, value in of_layer.items()}
    np.add.at(found["embed"], tokens, dx.T)
    return found


def central_differences(w, sequence, c):
    """The gradient of every weight, of fourth order in the step."""
    found = {}
    for name, value in w.items():
        directions = np.eye(value.size).reshape(value.size, *value.shape)

        def at(steps):
            return loss_of(w | {name: value + steps * DIFFERENCE_STEP * directions}, sequence, c)

        slope = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * DIFFERENCE_STEP)
        found[name] = slope.reshape(value.shape)
    return found


def hold_against_each_other(analytic, central, title):
    for name, want in central.items():
        error = np.abs(analytic[name] - want).max() / np.abs(want).max()
        if not error < LARGEST_DISAGREEMENT:
            sys.exit(f"{title}: gradient of {name} is off its central differences by {error:.1e}")


# ---------------------------------------------------------------------------------------------
# Optimiser.


def adam_steps(w, sequences, c, adam):
    """Weights and losses: one step for each sequence; the last loss is that of the first sequence
    after all steps."""
    m = {name: np.zeros_like(value) for name, value in w.items()}
    v = {name: np.zeros_like(value) for name, value in w.items()}
    losses = []
    for t, sequence in enumerate(sequences, 1):
        losses.append(loss_of(w, sequence, c))
        for name, g in gradients(w, sequence, c).items():
            m[name] = adam.beta1 * m[name] + (1 - adam.beta1) * g
            v[name] = adam.beta2 * v[name] + (1 - adam.beta2) * g * g
            mean = m[name] / (1 - adam.beta1**t)
            spread = np.sqrt(v[name] / (1 - adam.beta2**t))
            w = w | {name: w[name] - adam.lr * mean / (spread + adam.eps)}
    return w, [*losses, loss_of(w, sequences[0], c)]


# ---------------------------------------------------------------------------------------------
# Files.


def rounded(values, digits):
    return [float(f"{value:.{digits}g}") for value in np.ravel(values)]


def origin(what):
    return {"origin": f"tests/numeric/train_reference.py, float64: {what}"}


def sequence_fields(sequences):
    return {"tokens": [tokens.tolist() for tokens, _ in sequences],
            "targets": [targets.tolist() for _, targets in sequences]}


def training_rows(c, title):
    w = seeded_weights(c)
    sequences = [seeded_sequence(f"tokens.{i}", c) for i in range(2)]
    central = central_differences(w, sequences[0], c)
    hold_against_each_other(gradients(w, sequences[0], c), central, title)
    adam = Adam()
    stepped, losses = adam_steps(w, sequences, c, adam)
    yield origin("gradients of the first sequence by central differences, weights after an Adam "
                 "step for each sequence")
    yield {"config": dataclasses.asdict(c), "seed": SEED, "adam": dataclasses.asdict(adam),
           **sequence_fields(sequences), "losses": rounded(losses, 12)}
    for name, value in w.items():
        yield {"name": name, "rows": value.shape[0], "columns": value.shape[1],
               "gradient": rounded(central[name], 8), "stepped": rounded(stepped[name], 9)}


def logits_rows(c):
    w = seeded_weights(c)
    sequence = seeded_sequence("tokens.0", c)
    yield origin("logits [V, S] of the model in llama2c.bin")
    yield {"config": dataclasses.asdict(c), "seed": SEED, **sequence_fields([sequence]),
           "losses": rounded([loss_of(w, sequence, c)], 12),
           "logits": rounded(forward(w, sequence[0], c)[0], 9)}


def llama2c_bytes(c):
    """A model file as llama2.c's export.py, version 0, writes it and its run.c reads it: seven
    ints, the vocabulary negative where the classifier is one of its own, then fp32."""
    w = seeded_weights(c)
    assert c.dim == c.heads * c.head_dim and not c.shared_classifier
    header = struct.pack("<7i", c.dim, c.hidden, c.layers, c.heads, c.kv_heads, -c.vocab, c.seq)
    of_layers = [w[f"layers.{layer}.{name}"]
                 for name in ("rms_att", "wq", "wk", "wv", "wo", "rms_ffn", "w1", "w2", "w3")
                 for layer in range(c.layers)]
    turns = swap(angles(c))
    tensors = [w["embed"], *of_layers, w["rms_final"], np.cos(turns), np.sin(turns),
               w["classifier"]]
    return header + b"".join(tensor.astype("<f4").tobytes() for tensor in tensors)


def text_of(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def files():
    return {"static.jsonl": text_of(training_rows(STATIC, "static")),
            "run_time.jsonl": text_of(training_rows(RUN_TIME, "run_time")),
            "llama2c.jsonl": text_of(logits_rows(LLAMA2C)),
            "llama2c.bin": llama2c_bytes(LLAMA2C)}


def same_value(a, b):
    """Numbers may differ in what another BLAS library makes of the last bits."""
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(same_value(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        if len(a) != len(b):
            return False
        if a and not isinstance(a[0], list):
            return bool(np.allclose(a, b, rtol=1e-6, atol=1e-9))
        return all(map(same_value, a, b))
    return a == b


def same(name, a, b):
    if name.endswith(".bin"):
        values = [np.frombuffer(each[28:], "<f4") for each in (a, b)]
        return len(a) == len(b) and a[:28] == b[:28] and np.allclose(*values, rtol=1e-6, atol=1e-7)
    rows = [[json.loads(line) for line in each.splitlines()] for each in (a, b)]
    return len(rows[0]) == len(rows[1]) and all(map(same_value, *rows))


def main(arguments):
    if arguments not in ([], ["--check"]):
        sys.exit(__doc__)
    differ = False
    for name, content in files().items():
        path = FOLDER / name
        if not arguments:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            continue
        good = path.exists() and same(name, path.read_bytes(), content)
        print(f"{name}: {'the same' if good else 'DIFFERS'}")
        differ |= not good
    if differ:
        print("train_reference.py without an option writes what is now")
        sys.exit(3)


if __name__ == "__main__":
    main(sys.argv[1:])
