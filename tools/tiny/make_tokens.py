#!/usr/bin/env python3
"""Makes tokenizer.bin and tokens.bin from text.txt.

make_tokens.py           writes both beside this file
make_tokens.py --check   compares what it would write with the files; exit code 1 when they differ

The tokenizer has the form of llama2.c: 3 specials, 256 bytes, and byte-pair merges of the words of
the text with the space in front of them, best first, then the characters of the text. Each line
is a story; tokens.bin has them one behind the other, each behind a BOS, 16 bits a token.
"""

import collections
import pathlib
import struct
import sys

VOCAB = 512
BOS = 1
FIRST_BYTE = 3
FOLDER = pathlib.Path(__file__).resolve().parent


def merge_word(word, pair):
    """`word` with each `pair` of neighbours as one piece."""
    merged = []
    i = 0
    while i < len(word):
        if word[i : i + 2] == pair:
            merged.append(pair[0] + pair[1])
            i += 2
        else:
            merged.append(word[i])
            i += 1
    return tuple(merged)


def train(lines):
    """Texts of all tokens with their scores."""
    words = collections.Counter(" " + word for line in lines for word in line.split(" "))
    pieces = {word: tuple(word) for word in words}
    characters = sorted({c for word in words for c in word})
    merges = []
    while FIRST_BYTE + 256 + len(merges) + len(characters) < VOCAB:
        pairs = collections.Counter()
        for word, count in words.items():
            for pair in zip(pieces[word], pieces[word][1:]):
                pairs[pair] += count
        # Equal counts are told apart by the text, so that every machine makes the same.
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        text = best[0] + best[1]
        pieces = {word: merge_word(piece, best) for word, piece in pieces.items()}
        if text not in merges:
            merges.append(text)
    specials = ["<unk>", "\n<s>\n", "\n</s>\n"] + ["<0x%02X>" % byte for byte in range(256)]
    return [(text, 0.0) for text in specials] + [
        (text, -float(i)) for i, text in enumerate(merges + characters)
    ]


def encode(line, ids, scores):
    """Greedy merges by score, the first of equally good ones, as run.c has them."""
    texts = [" "] + list(line)
    while True:
        best = None
        for i in range(len(texts) - 1):
            merged = ids.get(texts[i] + texts[i + 1])
            if merged is not None and (best is None or scores[merged] > best[0]):
                best = (scores[merged], i)
        if best is None:
            return [BOS] + [ids[text] for text in texts]
        i = best[1]
        texts[i : i + 2] = [texts[i] + texts[i + 1]]


def tokenizer_file(tokens):
    texts = [text.encode() for text, _ in tokens]
    file = struct.pack("<i", max(map(len, texts)))
    for text, (_, score) in zip(texts, tokens):
        file += struct.pack("<fi", score, len(text)) + text
    return file


def main():
    lines = (FOLDER / "text.txt").read_text(encoding="ascii").splitlines()
    tokens = train(lines)
    scores = [score for _, score in tokens]
    ids = {text: i for i, (text, _) in enumerate(tokens) if i >= FIRST_BYTE + 256}
    sequence = [token for line in lines for token in encode(line, ids, scores)]
    made = {
        "tokenizer.bin": tokenizer_file(tokens),
        "tokens.bin": struct.pack("<%dH" % len(sequence), *sequence),
    }
    differ = []
    for name, content in made.items():
        path = FOLDER / name
        if sys.argv[1:] != ["--check"]:
            path.write_bytes(content)
        elif not path.exists() or path.read_bytes() != content:
            differ.append(name)
    for name in differ:
        print("%s is not what make_tokens.py makes of text.txt" % name)
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
