"""What stories_numpy.py and stories_torch.py have in common: shapes, and taking turns.

A script says "ready" when it can run, then reads the name of a kernel from every line of standard
input, runs it, and answers with the seconds that took: of the processor for one thread, of the
clock for more, as bench_cpu counts its own. Its own argument is the number of threads.
"""

import sys
import time

DIM, HIDDEN, HEADS, SEQ = 768, 2048, 12, 256
HEAD_DIM = DIM // HEADS
SCORES = HEADS * SEQ
EPS = 1e-5

INPUT_CHANNELS = {
    "sdpa_fwd_taps": DIM,
    "ffn_fwd_taps": DIM,
    "ffn_bwd": DIM + 2 * HIDDEN,
    "sdpa_bwd1": 4 * DIM,
    "sdpa_bwd2": 2 * SCORES + 2 * DIM,
    "qkv_bwd": 3 * DIM,
}

WEIGHT_SHAPES = {
    **{name: (DIM, DIM) for name in ("wq", "wk", "wv", "wo", "wqt", "wkt", "wvt", "wot")},
    **{name: (HIDDEN, DIM) for name in ("w1", "w3", "w2t")},
    **{name: (DIM, HIDDEN) for name in ("w2", "w1t", "w3t")},
    "rms1": (DIM, 1),
    "rms2": (DIM, 1),
}


def thread_count():
    return int(sys.argv[1]) if len(sys.argv) > 1 else 1


def warm_up(work):
    """As Race::warm_up in bench.h."""
    begin = time.perf_counter()
    work()
    while thread_count() > 1 and time.perf_counter() - begin < 0.15:
        work()


def take_turns(kernels, inputs):
    """`kernels`: functions by name; `inputs`: what each is called with."""
    now = time.process_time if thread_count() == 1 else time.perf_counter
    print("ready", flush=True)
    for line in sys.stdin:
        name = line.strip()
        warm_up(lambda: kernels[name](inputs[name]))
        start = now()
        kernels[name](inputs[name])
        print(now() - start, flush=True)
