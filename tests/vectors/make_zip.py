#!/usr/bin/python3
"""make_zip.py -- small zip archives as Python's zipfile writes them.

    python3 tests/vectors/make_zip.py        (rewrites tests/vectors/zip/*.zip)

Entry k (from 0) has 100 * k bytes, of which byte i is (7 * i + k) % 251. test_zip.c knows that rule.
"""
import io, os, zipfile

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "zip")
NAMES = ["root/data.pkl", "root/data/0", "root/data/1", "\u00e9t\u00e9/ name", "root/version"]
WHEN = (2024, 1, 1, 0, 0, 0)


class Stream(io.RawIOBase):
    """Cannot be sought in, so that zipfile writes data descriptors."""

    def __init__(self):
        self.data = b""

    def writable(self):
        return True

    def write(self, b):
        self.data += bytes(b)
        return len(b)


def write(target, method, force=False):
    with zipfile.ZipFile(target, "w") as z:
        z.comment = b"a comment" if method == zipfile.ZIP_DEFLATED else b""
        for k, name in enumerate(NAMES):
            info = zipfile.ZipInfo(name, WHEN)
            info.compress_type = method
            with z.open(info, "w", force_zip64=force) as f:
                f.write(bytes((7 * i + k) % 251 for i in range(100 * k)))


def save(name, data):
    with open(os.path.join(FOLDER, name + ".zip"), "wb") as f:
        f.write(data)


os.makedirs(FOLDER, exist_ok=True)
for name, method in ("stored", zipfile.ZIP_STORED), ("deflated", zipfile.ZIP_DEFLATED), ("bzip2", zipfile.ZIP_BZIP2):
    out = io.BytesIO()
    write(out, method)
    save(name, out.getvalue())
stream = Stream()
write(stream, zipfile.ZIP_DEFLATED)
save("streamed", stream.data)
zipfile.ZIP64_LIMIT, zipfile.ZIP_FILECOUNT_LIMIT = 50, 2  # everything beyond is written as zip64
out = io.BytesIO()
write(out, zipfile.ZIP_STORED, True)
save("zip64", out.getvalue())
