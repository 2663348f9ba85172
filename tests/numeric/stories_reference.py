#!/usr/bin/env python3
"""Makes golden/numeric/stories: what the six Stories kernels compute, found without milgen.

`truth` functions are the mathematics of include/milgen/stories.h in float64, with nothing rounded
but inputs and weights. `rounded` functions go through the ops of the kernels one by one and round
to fp16 after each, sums in fp32 in increasing index order inside of an op. golden/README.md,
"Numeric goldens", has the format, the formulas of inputs and samples, and how tolerances apply.

    stories_reference.py            writes the files
    stories_reference.py --check    makes them again and compares them byte for byte; exit code 3
                                    when one differs
"""

import dataclasses
import pathlib
import re
import sys

sys.dont_write_bytecode = True

from arithmetic import exp, half, np, product, running_sum, sigmoid, softmax
from golden_file import Part, golden_text
from seeded import half_input, half_weight, sha256_of_half

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
WEIGHT_SEED = 0
INPUT_SEED = 7


@dataclasses.dataclass(frozen=True)
class Config:
    name: str
    dim: int
    hidden: int
    heads: int
    seq: int
    eps: float = 1e-5

    @property
    def head_dim(self):
        return self.dim // self.heads

    @property
    def params(self):
        names = ("dim", "hidden", "heads", "seq", "eps")
        return " ".join(f"{name}={getattr(self, name):g}" for name in names)


CONFIGS = (Config("small", 64, 160, 2, 32), Config("stories110m", 768, 2048, 12, 256))

# ---------------------------------------------------------------------------------------------
# Truth. Tensors are [channels, positions], heads [heads, head_dim, positions], scores and their
# like [heads, query, key]; weights are [channels out, channels in].


def swap(x):
    return np.swapaxes(x, -1, -2)


def heads_of(x, c):
    return x.reshape(c.heads, c.head_dim, c.seq)


def joined(x, c):
    return x.reshape(c.dim, c.seq)


def rms_norm(x, gain, c):
    mean_square = running_sum(x * x, 0) / c.dim
    return x / np.sqrt(mean_square + c.eps) * gain


def attention_probs(q, k, c):
    """Each query sees the keys up to its own position."""
    scores = product(swap(heads_of(q, c)), heads_of(k, c)) / np.sqrt(np.float64(c.head_dim))
    seen = np.tril(np.ones((c.seq, c.seq), bool))
    powers = np.where(seen, exp(scores - scores.max(axis=-1, keepdims=True)), 0.0)
    return powers / running_sum(powers, -1)


def attention(q, k, v, c):
    return joined(product(heads_of(v, c), swap(attention_probs(q, k, c))), c)


def attention_block(xn, w, c):
    """From the normalised input: of, qf, kf, vf, af."""
    q, k, v = (product(w[name], xn) for name in ("wq", "wk", "wv"))
    af = attention(q, k, v, c)
    return product(w["wo"], af), q, k, v, af


def sdpa_fwd_taps(x, w, c):
    xn = rms_norm(x, w["rms1"], c)
    return (*attention_block(xn, w, c), xn)


def gated(h1, h3):
    return h1 * sigmoid(h1) * h3


def feed_forward(xn, w, c):
    """From the normalised input: y, h1, h3, gate."""
    h1, h3 = product(w["w1"], xn), product(w["w3"], xn)
    gate = gated(h1, h3)
    return product(w["w2"], gate), h1, h3, gate


def ffn_fwd_taps(x, w, c):
    xn = rms_norm(x, w["rms2"], c)
    return (*feed_forward(xn, w, c), xn)


def ffn_bwd(x, w, c):
    """y = W2 (silu(h1) h3), h1 = W1 xn, h3 = W3 xn; dffn is the gradient at y."""
    dffn, h1, h3 = np.split(x, [c.dim, c.dim + c.hidden])
    sig = sigmoid(h1)
    dgate = product(w["w2t"], dffn)
    dh1 = dgate * h3 * (sig + h1 * sig * (1 - sig))
    dh3 = dgate * h1 * sig
    return product(w["w1t"], dh1) + product(w["w3t"], dh3), dh1, dh3


def sdpa_bwd1(x, w, c):
    """af_i = sum_j p_ij v_j and of = Wo af; dx2 is the gradient at of."""
    q, k, v, dx2 = np.split(x, 4)
    da = heads_of(product(w["wot"], dx2), c)
    probs = attention_probs(q, k, c)
    dv = product(da, probs)
    dp = product(swap(da), heads_of(v, c))
    return joined(dv, c), probs.reshape(-1, c.seq), dp.reshape(-1, c.seq)


def sdpa_bwd2(x, w, c):
    """The Jacobian of softmax, then that of q_i . k_j / sqrt(d)."""
    scores = c.heads * c.seq
    probs, dp, q, k = np.split(x, [scores, 2 * scores, 2 * scores + c.dim])
    probs, dp = (flat.reshape(c.heads, c.seq, c.seq) for flat in (probs, dp))
    ds = probs * (dp - running_sum(probs * dp, -1)) / np.sqrt(np.float64(c.head_dim))
    dq = product(heads_of(k, c), swap(ds))
    dk = product(heads_of(q, c), ds)
    return joined(dq, c), joined(dk, c)


def qkv_bwd(x, w, c):
    dq, dk, dv = np.split(x, 3)
    return (product(w["wqt"], dq) + product(w["wkt"], dk) + product(w["wvt"], dv),)


# ---------------------------------------------------------------------------------------------
# Rounded. The layouts are the kernels' own: heads are [heads, positions, head_dim].


class HalfOps:
    """MIL's ops on fp16 values. `total` is the dtype in which an op adds."""

    def __init__(self, total):
        self.total = total

    def add(self, x, y):
        return half(x + y)

    def sub(self, x, y):
        return half(x - y)

    def mul(self, x, y):
        return half(x * y)

    def reduce_sum(self, x, axis):
        return half(running_sum(x, axis, self.total))

    def matmul(self, x, y):
        return half(product(x, y, self.total))

    def conv(self, weight, x):
        return self.matmul(weight, x)

    def reciprocal_root(self, x):
        return half(1.0 / np.sqrt(x))

    def sigmoid(self, x):
        return half(sigmoid(x))

    def softmax(self, x):
        return half(softmax(x))


def rounded_heads_of(x, c):
    return swap(heads_of(x, c))


def rounded_joined(x, c):
    return joined(swap(x), c)


def rounded_rms_norm(ops, x, gain, c):
    total = ops.reduce_sum(ops.mul(x, x), 0)
    mean = ops.mul(total, half(1.0 / c.dim))
    rrms = ops.reciprocal_root(ops.add(mean, half(c.eps)))
    return ops.mul(ops.mul(x, rrms), gain)


def rounded_scale(c):
    return half(1.0 / np.sqrt(np.float64(c.head_dim)))


def rounded_attention_probs(ops, q, k, c):
    mask = np.where(np.tril(np.ones((c.seq, c.seq), bool)), 0.0, -65504.0)
    scores = ops.matmul(rounded_heads_of(q, c), swap(rounded_heads_of(k, c)))
    return ops.softmax(ops.add(ops.mul(scores, rounded_scale(c)), mask))


def rounded_sdpa_fwd_taps(ops, x, w, c):
    xn = rounded_rms_norm(ops, x, w["rms1"], c)
    q, k, v = (ops.conv(w[name], xn) for name in ("wq", "wk", "wv"))
    probs = rounded_attention_probs(ops, q, k, c)
    af = rounded_joined(ops.matmul(probs, rounded_heads_of(v, c)), c)
    return ops.conv(w["wo"], af), q, k, v, af, xn


def rounded_ffn_fwd_taps(ops, x, w, c):
    xn = rounded_rms_norm(ops, x, w["rms2"], c)
    h1, h3 = ops.conv(w["w1"], xn), ops.conv(w["w3"], xn)
    gate = ops.mul(ops.mul(h1, ops.sigmoid(h1)), h3)
    return ops.conv(w["w2"], gate), h1, h3, gate, xn


def rounded_ffn_bwd(ops, x, w, c):
    dffn, h1, h3 = np.split(x, [c.dim, c.dim + c.hidden])
    dsilu = ops.conv(w["w2t"], dffn)
    sig = ops.sigmoid(h1)
    dsd = ops.mul(sig, ops.add(1.0, ops.mul(h1, ops.sub(1.0, sig))))
    dh1 = ops.mul(ops.mul(dsilu, h3), dsd)
    dh3 = ops.mul(dsilu, ops.mul(h1, sig))
    return ops.add(ops.conv(w["w1t"], dh1), ops.conv(w["w3t"], dh3)), dh1, dh3


def rounded_sdpa_bwd1(ops, x, w, c):
    q, k, v, dx2 = np.split(x, 4)
    da = rounded_heads_of(ops.conv(w["wot"], dx2), c)
    probs = rounded_attention_probs(ops, q, k, c)
    dv = ops.matmul(swap(probs), da)
    dp = ops.matmul(da, swap(rounded_heads_of(v, c)))
    return rounded_joined(dv, c), probs.reshape(-1, c.seq), dp.reshape(-1, c.seq)


def rounded_sdpa_bwd2(ops, x, w, c):
    scores = c.heads * c.seq
    probs, dp, q, k = np.split(x, [scores, 2 * scores, 2 * scores + c.dim])
    probs, dp = (flat.reshape(c.heads, c.seq, c.seq) for flat in (probs, dp))
    row_sum = ops.reduce_sum(ops.mul(probs, dp), -1)
    ds = ops.mul(ops.mul(probs, ops.sub(dp, row_sum)), rounded_scale(c))
    dq = ops.matmul(ds, rounded_heads_of(k, c))
    dk = ops.matmul(swap(ds), rounded_heads_of(q, c))
    return rounded_joined(dq, c), rounded_joined(dk, c)


def rounded_qkv_bwd(ops, x, w, c):
    dq, dk, dv = np.split(x, 3)
    first = ops.add(ops.conv(w["wqt"], dq), ops.conv(w["wkt"], dk))
    return (ops.add(first, ops.conv(w["wvt"], dv)),)


# ---------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Kernel:
    truth: object
    rounded: object
    weights: str  # name:rows:columns each, the latter two attributes of Config
    inputs: str  # channels of the input, in terms of the configuration
    parts: str  # what stands side by side in the output

    @property
    def name(self):
        return self.truth.__name__

    def channels(self, c):
        sizes = {"D": c.dim, "H": c.hidden, "NS": c.heads * c.seq}
        return sum(sizes[word] for word in self.inputs.split())

    def matrices(self, c):
        """Seeded weights by name: [rows, columns], gains [rows, 1]."""
        found = {}
        for word in self.weights.split():
            name, rows, columns = word.split(":")
            gain = columns == "gain"
            shape = (1, c.dim, 1, 1) if gain else (getattr(c, rows), getattr(c, columns), 1, 1)
            weight = half_weight(name, WEIGHT_SEED, shape, "near_one" if gain else "uniform")
            found[name] = weight.reshape(c.dim, 1) if gain else weight[:, :, 0, 0]
        return found


KERNELS = (
    Kernel(sdpa_fwd_taps, rounded_sdpa_fwd_taps,
           "rms1:dim:gain wq:dim:dim wk:dim:dim wv:dim:dim wo:dim:dim",
           "D", "of qf kf vf af xn"),
    Kernel(ffn_fwd_taps, rounded_ffn_fwd_taps,
           "rms2:dim:gain w1:hidden:dim w3:hidden:dim w2:dim:hidden",
           "D", "y h1 h3 gate xn"),
    Kernel(ffn_bwd, rounded_ffn_bwd,
           "w2t:hidden:dim w1t:dim:hidden w3t:dim:hidden",
           "D H H", "dx dh1 dh3"),
    Kernel(sdpa_bwd1, rounded_sdpa_bwd1, "wot:dim:dim", "D D D D", "dv probs dp"),
    Kernel(sdpa_bwd2, rounded_sdpa_bwd2, "", "NS NS D D", "dq dk"),
    Kernel(qkv_bwd, rounded_qkv_bwd, "wqt:dim:dim wkt:dim:dim wvt:dim:dim", "D D D", "dx"),
)


def check_weights(kernel, c, weights):
    """The weights here are those that milgen writes, whose SHA-256 stand beside the kernel."""
    listing = ROOT / f"golden/kernels/stories/{kernel.name}.{c.name}.weights"
    rows = [line.split("\t") for line in listing.read_text().splitlines() if "\t" in line]
    digests = {row[0]: row[-1] for row in rows}
    for name, weight in weights.items():
        if sha256_of_half(weight) != digests[name]:
            sys.exit(f"{listing}: weight '{name}' made here has other bytes")


def make(kernel, c):
    weights = kernel.matrices(c)
    check_weights(kernel, c, weights)
    x = half_input("x", INPUT_SEED, (kernel.channels(c), c.seq))
    truths = kernel.truth(x, weights, c)
    rounded = kernel.rounded(HalfOps(np.float32), x, weights, c)
    other = kernel.rounded(HalfOps(np.float64), x, weights, c)
    parts = [Part(*of_part) for of_part in zip(kernel.parts.split(), truths, rounded, other)]
    header = [
        f"kernel stories/{kernel.name}",
        f"config {c.name}",
        f"params {c.params}",
        f"weight-seed {WEIGHT_SEED}",
        f"input-seed {INPUT_SEED}",
        f"origin tests/numeric/stories_reference.py, numpy {np.__version__}: truth is the "
        "mathematics in float64; rounded is rounded to fp16 after each op, sums inside of one "
        "in fp32",
    ]
    return golden_text(header, "out", parts)


def without_numpy_version(text):
    """Another version of numpy computes the same."""
    return re.sub(r"numpy [^ :]+", "numpy", text, count=1)


def main(arguments):
    if arguments not in ([], ["--check"]):
        sys.exit(__doc__)
    folder = ROOT / "golden/numeric/stories"
    differ = []
    for c in CONFIGS:
        for kernel in KERNELS:
            path = folder / f"{kernel.name}.{c.name}.numeric"
            text = make(kernel, c)
            if not arguments:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(text.encode())
                continue
            there = path.read_bytes().decode() if path.exists() else ""
            same = without_numpy_version(there) == without_numpy_version(text)
            print(f"{path.name}: {'the same' if same else 'DIFFERS'}")
            if not same:
                differ.append(path.name)
    if differ:
        print(f"{len(differ)} differ; stories_reference.py without an option writes what is now")
        sys.exit(3)


if __name__ == "__main__":
    main(sys.argv[1:])
