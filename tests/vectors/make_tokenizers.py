#!/usr/bin/env python3
"""make_tokenizers.py -- vocabularies and what texts become with them, by the published algorithms and nothing of ours.

    python3 tests/vectors/make_tokenizers.py        (rewrites tests/vectors/tokenizers/)

words   Keras 2's Tokenizer (text_to_word_sequence, texts_to_sequences), written here anew
bpe     Sennrich 2016 / GPT-2: merges of the lowest rank first; trained here on a few lines of text. The words of GPT-2
        by its regular expression, with the third-party `regex` module where there is one, else with tables of unicodedata

Each vocabulary NAME.json has NAME.cases.json beside it: [{"text", "ids"}].
"""
import collections, json, os, re, sys, unicodedata

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tokenizers")
SAMPLE = """The quick brown fox jumps over the lazy dog. It's the dog's own fault; they've said they'll nap, I'd say.
In 1984 there were 12 of them, and 345 more by 2001. Naïve café owners über alles: Großmütter grüßen.
Быстрая лиса прыгает через ленивую собаку. 日本語のテキスト。 the the the of of and and to in a is that it was he for on as"""
TEXTS = ["", " ", "the", " the", "The quick brown fox", "dogs' dog's DOG'S they've", "a  b   c    d", "tabs\t\tand\n\nlines\n",
         "trailing   ", "12345 and 6,7", "naïve café", "ЛИСА лиса", "日本語", "emoji 😀!", "x" * 40, "don't've", "'s 's", "!!'ll",
         "the<|end|>the", "<|end|><|end|>", "a<|end|> b", "Σίσυφος ΟΔΥΣΣΕΥΣ ΣΑΣ", "İstanbul ISTANBUL", "_under_score",
         "\u00a0nbsp\u2003em", "e\u0301 combining", "²³ ½ Ⅷ", "hello,world!foo-bar", "end."]


def write(name, data):
    with open(os.path.join(HERE, name), "w", encoding="utf-8") as f:
        json.dump(data, f, ensure_ascii=False, indent=None)
        f.write("\n")


# ---- Keras ---------------------------------------------------------------------------------------------------------------

FILTERS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'


class Words:
    def __init__(self, num_words=None, filters=FILTERS, lower=True, split=" ", oov_token=None):
        self.num_words, self.filters, self.lower, self.split, self.oov = num_words, filters, lower, split, oov_token

    def words(self, text):
        if self.lower:
            text = text.lower()
        return [w for w in text.translate({ord(c): self.split for c in self.filters}).split(self.split) if w]

    def fit(self, lines):
        counts = collections.OrderedDict()
        for line in lines:
            for w in self.words(line):
                counts[w] = counts.get(w, 0) + 1
        order = ([self.oov] if self.oov else []) + [w for w, _ in sorted(counts.items(), key=lambda x: -x[1])]
        self.index = {w: i + 1 for i, w in enumerate(order)}
        self.counts = counts

    def ids(self, text):
        found = []
        for w in self.words(text):
            i = self.index.get(w)
            if i is not None and not (self.num_words and i >= self.num_words):
                found.append(i)
            elif self.oov is not None:
                found.append(self.index[self.oov])
        return found

    def to_json(self):
        config = {"num_words": self.num_words, "filters": self.filters, "lower": self.lower, "split": self.split,
                  "char_level": False, "oov_token": self.oov, "document_count": 3,
                  "word_counts": json.dumps(self.counts), "word_docs": json.dumps({}), "index_docs": json.dumps({}),
                  "index_word": json.dumps({i: w for w, i in self.index.items()}), "word_index": json.dumps(self.index)}
        return json.dumps({"class_name": "Tokenizer", "config": config})


def words(name, twice=False, **settings):
    t = Words(**settings)
    t.fit(SAMPLE.split("\n") + ["σίσυφος οδυσσευς σας i̇stanbul"])
    write(name + ".json", t.to_json() if twice else json.loads(t.to_json()))
    write(name + ".cases.json", [{"text": s, "ids": t.ids(s)} for s in TEXTS + SAMPLE.split("\n")])


# ---- BPE -----------------------------------------------------------------------------------------------------------------

try:
    import regex
    GPT2 = regex.compile(r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+""").findall
except ImportError:  # the same with the standard module: each character by its category
    def group(c):
        k = unicodedata.category(c)[0]
        return "s" if c.isspace() and c not in "\x1c\x1d\x1e\x1f" else "l" if k == "L" else "n" if k == "N" else "o"

    def GPT2(text):
        kinds = "".join(group(c) for c in text)
        found, at = [], 0
        while at < len(text):
            m = re.compile(r"'(s|t|re|ve|m|ll|d)").match(text, at)
            if not m:
                lead = at + 1 if text[at] == " " else at
                m = next((p for p in (re.compile(k + "+").match(kinds, lead) for k in "lno") if p), None)
                m = m or re.compile(r"s+(?!\S)|s+").match(kinds.replace("s", "s"), at)
                if kinds[at] == "s" and m.start() == at:  # \s+(?!\S), else \s+
                    end = m.end()
                    if end < len(text) and end - at > 1:
                        end -= 1
                    found.append(text[at:end])
                    at = end
                    continue
            found.append(text[at:m.end()])
            at = m.end()
        return found

BYTES = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
CHARS = {b: chr(b) for b in BYTES}
for b in [b for b in range(256) if b not in CHARS]:
    CHARS[b] = chr(256 + len([k for k in CHARS if k not in BYTES]))


def merge(parts, pair):
    out, i = [], 0
    while i < len(parts):
        if i + 1 < len(parts) and (parts[i], parts[i + 1]) == pair:
            out.append(parts[i] + parts[i + 1])
            i += 2
        else:
            out.append(parts[i])
            i += 1
    return out


def train(corpus, count):
    merges = []
    corpus = [list(w) for w in corpus]
    while len(merges) < count:
        pairs = collections.Counter(p for w in corpus for p in zip(w, w[1:]))
        if not pairs:
            break
        best = max(sorted(pairs), key=lambda p: pairs[p])
        merges.append(best)
        corpus = [merge(w, best) for w in corpus]
    return merges


def bpe(parts, ranks):
    while len(parts) > 1:
        best = min(zip(parts, parts[1:]), key=lambda p: ranks.get(p, 1 << 30))
        if best not in ranks:
            break
        parts = merge(parts, best)
    return parts


def pieces(text, added):
    return [p for p in re.split("(" + "|".join(re.escape(a) for a in added) + ")", text) if p] if added else [text]


def byte_level(name, prefix_space, pairs_as_lists):
    added = ["<|end|>"]
    encode = lambda w: [CHARS[b] for b in w.encode()]
    merges = train([encode(w) for w in GPT2(SAMPLE)], 150)
    vocab = {c: i for i, c in enumerate(sorted(CHARS.values()))}
    for a, b in merges:
        vocab.setdefault(a + b, len(vocab))
    ranks = {p: i for i, p in enumerate(merges)}
    end = len(vocab)

    def ids(text):
        out = []
        for p in pieces(text, added):
            if p in added:
                out.append(end)
                continue
            if prefix_space and p[0] != " ":
                p = " " + p
            for w in GPT2(p):
                out += [vocab[t] for t in bpe(encode(w), ranks)]
        return out
    write(name + ".json", {
        "version": "1.0", "truncation": None, "padding": None, "normalizer": None,
        "added_tokens": [{"id": end, "content": "<|end|>", "single_word": False, "lstrip": False, "rstrip": False,
                          "normalized": False, "special": True}],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": prefix_space, "trim_offsets": True, "use_regex": True},
        "post_processor": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False},
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "vocab": vocab,
                  "merges": [[a, b] for a, b in merges] if pairs_as_lists else [a + " " + b for a, b in merges]}})
    write(name + ".cases.json", [{"text": s, "ids": ids(s)} for s in TEXTS + SAMPLE.split("\n")])


def characters(name):
    """By characters, words between white space in lower case, </w> at their ends, unknown ones as [UNK]."""
    cut = lambda text: text.lower().split()
    encode = lambda w: list(w[:-1]) + [w[-1] + "</w>"]
    corpus = [encode(w) for w in cut(SAMPLE)]
    merges = train(corpus, 120)
    vocab = {"[UNK]": 0}
    for t in sorted({t for w in corpus for t in w}):
        vocab.setdefault(t, len(vocab))
    for a, b in merges:
        vocab.setdefault(a + b, len(vocab))
    ranks = {p: i for i, p in enumerate(merges)}

    def ids(text):
        return [i for w in cut(text) for i in
                (vocab[t] for t in bpe([p if p in vocab else "[UNK]" for p in encode(w)], ranks))]
    write(name + ".json", {
        "version": "1.0", "added_tokens": [], "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": None,
        "decoder": {"type": "BPEDecoder", "suffix": "</w>"},
        "model": {"type": "BPE", "unk_token": "[UNK]", "end_of_word_suffix": "</w>", "vocab": vocab,
                  "merges": [a + " " + b for a, b in merges]}})
    keep = [s for s in TEXTS + SAMPLE.split("\n") if "İ" not in s and "Σ" not in s]  # Lowercase is by character there
    write(name + ".cases.json", [{"text": s, "ids": ids(s)} for s in keep])


def fallback(name):
    """Metaspace, and bytes for what has no token."""
    cut = lambda text: re.findall("\u2581?[^\u2581]+|\u2581", text)
    mark = lambda text: (lambda t: t if t.startswith("\u2581") else "\u2581" + t)(text.replace(" ", "\u2581"))
    line = SAMPLE.split("\n")[0]
    merges = train([list(w) for w in cut(mark(line))], 60)
    vocab = {"<0x%02X>" % b: b for b in range(256)}
    for t in sorted(set(mark(line))):
        vocab.setdefault(t, len(vocab))
    for a, b in merges:
        vocab.setdefault(a + b, len(vocab))
    ranks = {p: i for i, p in enumerate(merges)}

    def ids(text):
        out = []
        for w in cut(mark(text)) if text else []:
            parts = [q for c in w for q in ([c] if c in vocab else ["<0x%02X>" % b for b in c.encode()])]
            out += [vocab[t] for t in bpe(parts, ranks)]
        return out
    write(name + ".json", {
        "added_tokens": [], "normalizer": None, "post_processor": None,
        "pre_tokenizer": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True},
        "decoder": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True},
        "model": {"type": "BPE", "byte_fallback": True, "vocab": vocab, "merges": [a + " " + b for a, b in merges]}})
    write(name + ".cases.json", [{"text": s, "ids": ids(s)} for s in TEXTS])


os.makedirs(HERE, exist_ok=True)
words("words")
words("words_oov", oov_token="<OOV>", num_words=20)
words("words_twice", twice=True, lower=False, filters=".,")
byte_level("gpt2", False, False)
byte_level("gpt2_prefix", True, True)
characters("chars_bpe")
fallback("metaspace")
