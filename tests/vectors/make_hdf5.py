#!/usr/bin/python3
"""make_hdf5.py -- small HDF5 files in every form that is read, and some that are refused.

    python3 tests/vectors/make_hdf5.py        (Debian's python3-h5py; rewrites tests/vectors/hdf5/)

Beside NAME.h5 stands NAME.txt, what h5py reads from it, a line each, texts and numbers in hexadecimal, spaces in names
as %20: "group PATH", "data PATH DTYPE [sizes] HEX-of-little-endian-elements", "text PATH ATTRIBUTE HEX HEX ...".
Files refused-*.h5 have no such list: reading all of them must end in a sentence that has the word after "refused-".
"""
import os, shutil
import h5py
import numpy as np

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "hdf5")
DTYPES = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]
NAMES = {"f2": "F16", "f4": "F32", "f8": "F64", "i1": "I8", "i2": "I16", "i4": "I32", "i8": "I64", "u1": "U8",
         "u2": "U16", "u4": "U32", "u8": "U64", "b1": "BOOL"}


def numbers(shape, dtype, seed=1):
    n = int(np.prod(shape))
    x = (np.arange(n, dtype=np.int64) * 37 * seed + 11) % 251 - (100 if dtype[-2] != "u" else 0)
    return (x / 8 if dtype[-2] == "f" else x % 2 if dtype == "b1" else x).astype(dtype).reshape(shape)


def dtypes(f):
    for d in DTYPES if f.libver[0] == "earliest" else ["f4", "i8"]:
        f["little/" + d] = numbers((3, 5), d)
        if d in ("f2", "f4", "f8", "i2", "u4", "i8"):
            f.create_dataset("big/" + d, data=numbers((2, 3), d).astype(">" + d), dtype=">" + d)
    f["bool"] = numbers((7,), "b1")
    f["scalar"] = np.float32(2.5)
    f["empty"] = np.zeros((0, 4), "f4")
    f["deep/er/and/deeper/x"] = numbers((2, 2, 2, 2), "f4")
    f["soft"] = h5py.SoftLink("/deep/er")
    f["deep/relative"] = h5py.SoftLink("er/and")
    f["hard"] = f["deep/er/and"]
    f["type"] = np.dtype("f4")
    f.create_dataset("committed", data=numbers((4,), "f4"), dtype=f["type"])


def texts(f):
    f.attrs["one"] = "variable, \u00e9t\u00e9"
    f.attrs["fixed"] = np.bytes_(b"fixed")
    f.attrs["empty"] = ""
    f.attrs.create("names", [b"lstm", b"dense_1", b""], dtype="S16")
    f.attrs["more"] = ["a", "bb", ""] * 5
    f.attrs["number"] = 5
    f.attrs["long"] = "x" * 700
    g = f.create_group("g")
    g.attrs.create("none", np.zeros((0,), "S1"))
    d = g.create_dataset("d", data=numbers((3,), "f4"))
    d.attrs["of a dataset"] = "yes"


def many(f):
    for i in range(18):
        f["g/member_%d" % i] = numbers((2,), "f4", i + 1)


def chunks(f):
    f.create_dataset("plain", data=numbers((7, 9), "f4"), chunks=(2, 4))
    f.create_dataset("gzip", data=numbers((7, 9), "f4"), chunks=(3, 3), compression="gzip")
    f.create_dataset("shuffle", data=numbers((50,), "f8"), chunks=(16,), compression="gzip", shuffle=True)
    f.create_dataset("sum", data=numbers((5, 3), "i2"), chunks=(2, 2), shuffle=True, fletcher32=True)
    if f.libver[0] != "earliest":
        f.create_dataset("cube", data=numbers((5, 3, 2), "i2"), chunks=(2, 2, 2), shuffle=True)
        f.create_dataset("whole", data=numbers((4, 4), "f4"), chunks=(4, 4), compression="gzip")
        f.create_dataset("whole plain", data=numbers((4, 4), "f4"), chunks=(4, 4))
        f.create_dataset("big", data=numbers((6,), "f4").astype(">f4"), chunks=(4,), compression="gzip")
    f.create_dataset("many", data=numbers((140,), "i4"), chunks=(2,))
    d = f.create_dataset("holes", shape=(9,), dtype="f4", chunks=(2,), fillvalue=1.5)
    d[4:6] = [7, 8]


def growing(f):
    f.create_dataset("both", data=numbers((5, 7), "f4"), chunks=(2, 2), maxshape=(None, None), compression="gzip")
    f.create_dataset("both plain", data=numbers((5, 7), "f4"), chunks=(2, 2), maxshape=(None, None))
    f.create_dataset("to a limit", data=numbers((5, 7), "f4"), chunks=(2, 2), maxshape=(9, 20))
    f.create_dataset("one", data=numbers((60, 3), "f4"), chunks=(2, 2), maxshape=(None, 3), compression="gzip")
    f.create_dataset("last", data=numbers((3, 5), "f4"), chunks=(2, 2), maxshape=(3, None))
    f.create_dataset("far", data=numbers((200,), "u1"), chunks=(1,), maxshape=(None,))


def dense(f):
    f.attrs["huge"] = "\u00e9" + "0123456789abcdef" * 260
    for i in range(9):
        f.attrs["attribute %d" % i] = "value %d" % i
    for i in range(36):
        f["member %d" % i] = numbers((1,), "i2", i + 1)
    f["a link"] = h5py.SoftLink("/member 7")


def compact(f):
    for name, dtype in ("x", "<f4"), ("y", ">f4"):
        p = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        p.set_layout(h5py.h5d.COMPACT)
        d = h5py.h5d.create(f.id, name.encode(), h5py.h5t.py_create(np.dtype(dtype)), h5py.h5s.create_simple((3, 2)), p)
        h5py.Dataset(d)[...] = numbers((3, 2), "f4")


def describe(f, out):
    def visit(path, o):
        if isinstance(o, h5py.Group):
            out.append("group %s" % path)
        elif isinstance(o, h5py.Dataset):
            x = o[()]
            little = np.asarray(x).astype(o.dtype.newbyteorder("<"))
            out.append("data %s %s %s %s" % (path.replace(" ", "%20"), NAMES[o.dtype.str[1:]],
                                             ",".join(map(str, o.shape)) or "-", little.tobytes().hex() or "-"))
        for name in o.attrs:
            value = o.attrs[name]
            if isinstance(value, (str, bytes)):
                value = [value]
            if isinstance(value, np.ndarray) and value.dtype.kind in "SO" or isinstance(value, list):
                texts = [(t if isinstance(t, bytes) else t.encode()).hex() or "-" for t in value]
                out.append("text %s %s %s" % (path.replace(" ", "%20"), name.replace(" ", "%20"), " ".join(texts)))
    visit("/", f)

    def walk(g, path):
        for name in g:
            visit(path + "/" + name, g[name])
            if isinstance(g[name], h5py.Group):
                walk(g[name], path + "/" + name)
    walk(f, "")


def write(name, make, **options):
    path = os.path.join(FOLDER, name + ".h5")
    with h5py.File(path, "w", **options) as f:
        make(f)
    if not name.startswith("refused"):
        out = []
        with h5py.File(path, "r") as f:
            describe(f, out)
        with open(os.path.join(FOLDER, name + ".txt"), "w") as t:
            t.write("\n".join(out) + "\n")


def refused(name, make):
    write("refused-" + name, make)


shutil.rmtree(FOLDER, ignore_errors=True)
os.makedirs(FOLDER)
write("dtypes", dtypes)
write("dtypes-latest", dtypes, libver="v110")
write("texts", texts)
write("many", many)
write("ordered", lambda f: [f.create_dataset("b", data=[1.0]), texts(f)], track_order=True, libver="latest")
write("ordered-old", lambda f: [f.create_dataset("b", data=[1.0]), f.create_dataset("a", data=[2.0])], track_order=True)
write("chunks", chunks)
write("chunks-latest", chunks, libver="latest")
write("growing", growing, libver="latest")
write("dense", dense, libver="latest")
write("compact", compact)
write("user-block", lambda f: f.__setitem__("x", numbers((3,), "f4")), userblock_size=1024)
refused("lzf", lambda f: f.create_dataset("x", data=numbers((9,), "f4"), compression="lzf"))
refused("scale", lambda f: f.create_dataset("x", data=numbers((9,), "i4"), scaleoffset=True))
refused("compound", lambda f: f.create_dataset("x", data=np.zeros(3, "c8")))
refused("external", lambda f: f.create_dataset("x", shape=(2,), dtype="f4", external="elsewhere.bin"))
refused("another file", lambda f: f.__setitem__("x", h5py.ExternalLink("other.h5", "/x")))
refused("strings", lambda f: f.create_dataset("x", data=np.array([b"a", b"b"])))
refused("circle", lambda f: [f.__setitem__("x", h5py.SoftLink("/y")), f.__setitem__("y", h5py.SoftLink("/x"))])
refused("deeper", lambda f: f.__setitem__("self", f["/"]))
refused("no data", lambda f: f.create_dataset("x", shape=(3,), dtype="f4"))
layout = h5py.VirtualLayout(shape=(2,), dtype="f4")
layout[0] = h5py.VirtualSource("other.h5", "x", shape=(1,))[0]
with h5py.File(os.path.join(FOLDER, "refused-virtual.h5"), "w", libver="latest") as f:
    f.create_virtual_dataset("x", layout)
