#!/usr/bin/env python3
"""Makes files of golden/train: models and checkpoints as other programs write them.

train_files.py           writes them
train_files.py --check   compares what it would write with the files; exit code 1 when they differ

Independent of milgen: the layouts are those of llama2.c's legacy_export(), of the struct CkptHdr
with natural alignment (numpy's `align`), and of Hugging Face's convert_llama_weights_to_hf.py.

Element i of tensor number t, counted per layer wq wk wv wo w1 w2 w3 rms_att rms_ffn, then
rms_final, embed, classifier, is t + i / 1024; its m is the negative of that, its v half of it.
"""

import json
import pathlib
import struct
import sys

from arithmetic import np

FOLDER = pathlib.Path(__file__).resolve().parent.parent.parent / "golden" / "train"
LAYERS, DIM, HIDDEN, HEADS, SEQ, VOCAB = 2, 8, 12, 2, 4, 5


class Model:
    def __init__(self, kv_heads, head_dim):
        self.kv_heads, self.head_dim = kv_heads, head_dim
        self.count = 0
        q, kv = HEADS * head_dim, kv_heads * head_dim
        self.layers = [
            {
                name: self.tensor(*shape)
                for name, shape in (
                    ("wq", (q, DIM)),
                    ("wk", (kv, DIM)),
                    ("wv", (kv, DIM)),
                    ("wo", (DIM, q)),
                    ("w1", (HIDDEN, DIM)),
                    ("w2", (DIM, HIDDEN)),
                    ("w3", (HIDDEN, DIM)),
                    ("rms_att", (DIM,)),
                    ("rms_ffn", (DIM,)),
                )
            }
            for _ in range(LAYERS)
        ]
        self.rms_final = self.tensor(DIM)
        self.embed = self.tensor(VOCAB, DIM)
        self.classifier = self.tensor(VOCAB, DIM)

    def tensor(self, *shape):
        values = self.count + np.arange(np.prod(shape)) / 1024
        self.count += 1
        return values.astype("<f4").reshape(shape)


def floats(*tensors):
    return b"".join(tensor.astype("<f4").tobytes() for tensor in tensors)


def llama2c(model, shared):
    """legacy_export() of export.py."""
    file = struct.pack(
        "<7i",
        DIM,
        HIDDEN,
        LAYERS,
        HEADS,
        model.kv_heads,
        VOCAB if shared else -VOCAB,
        SEQ,
    )
    file += floats(model.embed)
    for name in ("rms_att", "wq", "wk", "wv", "wo", "rms_ffn", "w1", "w2", "w3"):
        file += floats(*(layer[name] for layer in model.layers))
    file += floats(model.rms_final)
    frequencies = 10000.0 ** (-np.arange(0, model.head_dim, 2) / model.head_dim)
    angles = np.outer(np.arange(SEQ), frequencies)
    file += floats(np.cos(angles), np.sin(angles))
    return file if shared else file + floats(model.classifier)


def checkpoint(model, version):
    header = np.zeros(
        (),
        np.dtype(
            [
                (name, kind)
                for kind, names in (
                    ("<i4", "magic version step total_steps"),
                    ("<i4", "n_layers vocab_size dim hidden_dim n_heads seq_len"),
                    ("<f4", "lr loss"),
                    ("<f8", "cum_compile cum_train cum_wall"),
                    ("<i4", "cum_steps cum_batches adam_t"),
                    ("<i4", "kv_heads head_dim q_dim"),
                )
                for name in names.split()
            ],
            align=True,
        ),
    )
    values = dict(magic=0x424C5A54, version=version, step=7, total_steps=100)
    values.update(n_layers=LAYERS, vocab_size=VOCAB, dim=DIM, hidden_dim=HIDDEN, n_heads=HEADS)
    values.update(seq_len=SEQ, lr=3e-4, loss=2.5, cum_compile=1.5, cum_train=2.25, cum_wall=1e6)
    values.update(cum_steps=70, cum_batches=7, adam_t=8)
    if version == 4:
        q_dim = HEADS * model.head_dim
        values.update(kv_heads=model.kv_heads, head_dim=model.head_dim, q_dim=q_dim)
    for name, value in values.items():
        header[name] = value
    file = header.tobytes()
    assert len(file) == 96
    for layer in model.layers:
        file += floats(*layer.values())
        for weight in layer.values():
            file += floats(-weight, weight / 2)
    for weight in (model.rms_final, model.embed):
        file += floats(weight, -weight, weight / 2)
    return file


def hugging_face(model):
    def permute(weight, heads):
        rows, columns = weight.shape
        parts = weight.reshape(heads, rows // heads // 2, 2, columns)
        return parts.swapaxes(1, 2).reshape(rows, columns)

    tensors = {"model.embed_tokens.weight": model.embed, "lm_head.weight": model.classifier}
    tensors["model.norm.weight"] = model.rms_final
    for i, layer in enumerate(model.layers):
        for name, tensor in (
            ("self_attn.q_proj", permute(layer["wq"], HEADS)),
            ("self_attn.k_proj", permute(layer["wk"], model.kv_heads)),
            ("self_attn.v_proj", layer["wv"]),
            ("self_attn.o_proj", layer["wo"]),
            ("mlp.gate_proj", layer["w1"]),
            ("mlp.down_proj", layer["w2"]),
            ("mlp.up_proj", layer["w3"]),
            ("input_layernorm", layer["rms_att"]),
            ("post_attention_layernorm", layer["rms_ffn"]),
        ):
            tensors["model.layers.%d.%s.weight" % (i, name)] = tensor
        tensors["model.layers.%d.self_attn.rotary_emb.inv_freq" % i] = np.ones(2, "<f4")
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, tensor in tensors.items():
        end = offset + tensor.nbytes
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + floats(*tensors.values())


def main():
    plain, grouped = Model(kv_heads=2, head_dim=4), Model(kv_heads=1, head_dim=4)
    wide = Model(kv_heads=1, head_dim=6)
    made = {
        "llama2c_shared.bin": llama2c(grouped, True),
        "llama2c_unshared.bin": llama2c(plain, False),
        "checkpoint_2.bin": checkpoint(plain, 2),
        "checkpoint_4.bin": checkpoint(wide, 4),
        "hugging_face.safetensors": hugging_face(wide),
    }
    differ = []
    for name, content in made.items():
        path = FOLDER / name
        if sys.argv[1:] != ["--check"]:
            FOLDER.mkdir(exist_ok=True)
            path.write_bytes(content)
        elif not path.exists() or path.read_bytes() != content:
            differ.append(name)
    for name in differ:
        print("golden/train/%s is not what train_files.py makes" % name)
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
