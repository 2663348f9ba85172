"""What kernels of several sets are made of, as `truth` and as `rounded` (kernel_goldens.py).

Tensors are [channels, positions], heads [heads, positions, head_dim], scores and their like
[heads, query, key].
"""

from arithmetic import exp, half, np, product, running_sum, sigmoid, softmax


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


def swap(x):
    return np.swapaxes(x, -1, -2)


def heads_of(x, heads):
    return swap(x.reshape(heads, -1, x.shape[-1]))


def joined(x):
    """What heads_of makes heads of."""
    return swap(x).reshape(-1, x.shape[-2])


def causal(seq):
    """Where a query, the row, sees a key."""
    return np.tril(np.ones((seq, seq), bool))


def rms_norm(x, gain, eps):
    mean_square = running_sum(x * x, 0) / x.shape[0]
    return x / np.sqrt(mean_square + eps) * gain


def rounded_reciprocal_rms(ops, x, eps):
    total = ops.reduce_sum(ops.mul(x, x), 0)
    mean = ops.mul(total, half(1.0 / x.shape[0]))
    return ops.reciprocal_root(ops.add(mean, half(eps)))


def rounded_rms_norm(ops, x, gain, eps):
    return ops.mul(ops.mul(x, rounded_reciprocal_rms(ops, x, eps)), gain)


def attention_probs(q, k):
    """Each query sees the keys up to its own position."""
    scores = product(q, swap(k)) / np.sqrt(np.float64(q.shape[-1]))
    seen = causal(q.shape[-2])
    powers = np.where(seen, exp(scores - scores.max(axis=-1, keepdims=True)), 0.0)
    return powers / running_sum(powers, -1)


def rounded_scale(head_dim):
    return half(1.0 / np.sqrt(np.float64(head_dim)))


def rounded_attention_probs(ops, q, k):
    mask = np.where(causal(q.shape[-2]), 0.0, -65504.0)
    scores = ops.matmul(q, swap(k))
    return ops.softmax(ops.add(ops.mul(scores, rounded_scale(q.shape[-1])), mask))


def scores_rows(scores):
    """[heads * query, key], as kernels give scores out."""
    return scores.reshape(-1, scores.shape[-1])


def attention_bwd1(q, k, v, da):
    """From the gradient at probs @ v, all as heads: (dv, probs, dp) as channels."""
    probs = attention_probs(q, k)
    dv = product(swap(probs), da)
    return joined(dv), scores_rows(probs), scores_rows(product(da, swap(v)))


def rounded_attention_bwd1(ops, q, k, v, da):
    probs = rounded_attention_probs(ops, q, k)
    dv = ops.matmul(swap(probs), da)
    return joined(dv), scores_rows(probs), scores_rows(ops.matmul(da, swap(v)))
