#!/usr/bin/python3
"""shakespeare.py -- train the bundled byte-level GRU language model on tiny-shakespeare.

    python3 models/recipes/shakespeare.py DATA/input.txt [--minutes 80] [--work build/train/shakespeare]
    python3 models/recipes/shakespeare.py DATA/input.txt --export models/shakespeare.safetensors

Data: tiny-shakespeare, 1,115,394 bytes, public domain text; the first 90 % train, the last 10 % measure.
Method: truncated back-propagation through time with the state carried (Mikolov 2010), variational dropout
(Gal & Ghahramani 2016), dropped recurrent weights and averaged weights (Merity et al. 2018, AWD-LSTM).
One thread, a checkpoint per epoch, resumable: run the same command again. The learning rate follows the
share of --minutes that is used up, so that a busy machine still ends with a finished schedule.
"""
import argparse, math, os, sys, time
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.set_num_threads(1)
EMBED, HIDDEN, LAYERS = 64, 512, 2


class ByteGRU(nn.Module):
    """bytes [T][B] -> logits [T][B][256]"""

    def __init__(self, drop_in=0.05, drop=0.3, drop_w=0.2):
        super().__init__()
        self.embed = nn.Embedding(256, EMBED)
        self.gru = nn.ModuleList(nn.GRU(EMBED if k == 0 else HIDDEN, HIDDEN) for k in range(LAYERS))
        self.head = nn.Linear(HIDDEN, 256)
        self.drop_in, self.drop, self.drop_w = drop_in, drop, drop_w
        with torch.no_grad():
            self.embed.weight.normal_(0, 0.3)
            for l in self.gru:
                for g in range(3):
                    nn.init.orthogonal_(l.weight_hh_l0[g * HIDDEN:(g + 1) * HIDDEN])
                l.bias_ih_l0.zero_(); l.bias_hh_l0.zero_()
                l.bias_ih_l0[HIDDEN:2 * HIDDEN] = 1.0            # update gate open: remember at first
            self.head.bias.fill_(-4.0)

    def locked(self, x, p):
        """dropout with one mask for all time steps"""
        if not self.training or p == 0:
            return x
        mask = torch.empty(1, x.shape[1], x.shape[2]).bernoulli_(1 - p) / (1 - p)
        return x * mask

    def forward(self, ids, state):
        x = self.locked(self.embed(ids), self.drop_in)
        out = []
        for k, l in enumerate(self.gru):
            whh = F.dropout(l.weight_hh_l0, self.drop_w, self.training)
            x, h = torch._VF.gru(x, state[k], (l.weight_ih_l0, whh, l.bias_ih_l0, l.bias_hh_l0),
                                 True, 1, 0.0, self.training, False, False)
            out.append(h)
            x = self.locked(x, self.drop)
        return self.head(x), out

    def zero_state(self, batch):
        return [torch.zeros(1, batch, HIDDEN) for _ in range(LAYERS)]


def evaluate(model, data, split, streams=16, warm=256, chunk=512):
    """mean nats per byte of data[split:], in `streams` parallel pieces, each warmed up on the bytes before it
    (streams=1 is the exact figure: state carried from the first byte of the split to the last)"""
    model.eval()
    n = (len(data) - split) // streams
    starts = [split + k * n for k in range(streams)]
    total = count = 0
    with torch.no_grad():
        state = model.zero_state(streams)
        warm_ids = torch.stack([torch.from_numpy(data[s - warm:s - 1].astype(np.int64)) for s in starts], 1)
        _, state = model(warm_ids, state)
        for o in range(0, n, chunk):
            m = min(chunk, n - o)
            x = torch.stack([torch.from_numpy(data[s + o - 1:s + o - 1 + m].astype(np.int64)) for s in starts], 1)
            y = torch.stack([torch.from_numpy(data[s + o:s + o + m].astype(np.int64)) for s in starts], 1)
            logits, state = model(x, state)
            total += F.cross_entropy(logits.reshape(-1, 256), y.reshape(-1), reduction="sum").item()
            count += y.numel()
    return total / count


def train(args, data, split):
    os.makedirs(args.work, exist_ok=True)
    path = os.path.join(args.work, "checkpoint.pt")
    torch.manual_seed(args.seed)
    model = ByteGRU()
    average = ByteGRU()
    average.load_state_dict(model.state_dict())
    opt = torch.optim.AdamW(model.parameters(), lr=args.lr, betas=(0.9, 0.99), weight_decay=0.01)
    epoch, used, best = 0, 0.0, 9.9
    if os.path.exists(path):
        ck = torch.load(path)
        model.load_state_dict(ck["model"]); average.load_state_dict(ck["average"]); opt.load_state_dict(ck["opt"])
        epoch, used, best = ck["epoch"], ck["used"], ck["best"]
    B, T = args.batch, args.steps
    budget = args.minutes * 60
    while used < budget:
        t0, seen, loss_sum = time.time(), 0, 0.0
        offset = int(torch.randint(0, T, (1,)))
        n = (split - offset - 1) // B
        body = torch.from_numpy(data[offset:offset + n * B + 1].astype(np.int64))
        xs, ys = body[:n * B].view(B, n).t().contiguous(), body[1:n * B + 1].view(B, n).t().contiguous()
        state = model.zero_state(B)
        pos, last = 0, t0
        while pos < n - 1:
            m = min(n - pos, T if torch.rand(1).item() < 0.9 else T // 2)
            model.train()
            now = time.time()
            used, last = used + now - last, now
            share = min(1.0, used / budget)
            warm = min(1.0, (epoch * n / T + pos / T + 1) / 100)
            for g in opt.param_groups:
                g["lr"] = args.lr * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))
            state = [h.detach() for h in state]
            logits, state = model(xs[pos:pos + m], state)
            loss = F.cross_entropy(logits.reshape(-1, 256), ys[pos:pos + m].reshape(-1))
            opt.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            opt.step()
            keep = 0.998 if epoch > 1 else 0.98
            with torch.no_grad():
                for a, p in zip(average.parameters(), model.parameters()):
                    a.mul_(keep).add_(p, alpha=1 - keep)
            loss_sum += loss.item() * m; seen += m; pos += m
            if used >= budget:
                break
        epoch += 1
        ev = evaluate(average, data, split)
        line = "epoch %d used %.1f min train %.4f held-out %.4f (last weights %.4f) lr %.2e" % (
            epoch, used / 60, loss_sum / seen, ev, evaluate(model, data, split) if epoch % 5 == 1 else 0, g["lr"])
        print(line, flush=True)
        ck = dict(model=model.state_dict(), average=average.state_dict(), opt=opt.state_dict(), epoch=epoch, used=used, best=min(best, ev))
        if ev < best:
            best = ev
            torch.save(average.state_dict(), os.path.join(args.work, "best.pt"))
        torch.save(ck, path + ".part"); os.replace(path + ".part", path)


CHAT = {  # the play's own form: NAME, a line break, the speech, a blank line
    "user": {"prefix": "ROMEO:\n", "suffix": "\n\n"},
    "assistant": {"prefix": "JULIET:\n", "suffix": "\n\n"},
    "system": {"suffix": "\n\n"}, "opening": "", "stop": ["\n\n"], "min_bytes": 24,
}


def export(args, data, split):
    """writes the native file with metrics measured now and golden vectors that the server checks at load"""
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    import rnnd_export
    model = ByteGRU()
    model.load_state_dict(torch.load(os.path.join(args.work, "best.pt")))
    model.eval()
    nats = evaluate(model, data, split, streams=1)
    print("held-out (last 10 %%, state carried): %.4f nats/byte, %.4f bits" % (nats, nats / math.log(2)))
    seen = np.unique(data[:split]).astype(np.int64)
    with torch.no_grad():                       # bytes that never occurred: neutral, not random
        unseen = np.setdiff1d(np.arange(256), seen)
        model.embed.weight[unseen] = model.embed.weight[seen].mean(0)
        ids = torch.from_numpy(np.frombuffer(b"ROMEO:\nWhat news?\n\nJULIET", dtype=np.uint8).astype(np.int64))
        logits, _ = model(ids[:, None], model.zero_state(1))
    tensors = {"embed.weight": model.embed.weight}
    for k, l in enumerate(model.gru):
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            tensors["gru.%s_l%d" % (name, k)] = getattr(l, name + "_l0")
    tensors.update({"head.weight": model.head.weight, "head.bias": model.head.bias})
    tensors = {k: v.detach().numpy() for k, v in tensors.items()}
    tensors["golden.x"] = ids.numpy().astype(np.float32)[None, :, None]
    tensors["golden.y"] = logits[:, 0].numpy()[None]
    config = {
        "format": 1, "name": "shakespeare", "task": "text",
        "description": "Byte-level GRU that writes in the manner of Shakespeare's plays. Entertainment, not an assistant.",
        "inputs": [{"name": "byte", "ids": 256}],
        "layers": [{"type": "embedding", "name": "embed"},
                   {"type": "gru", "name": "gru", "hidden": HIDDEN, "layers": LAYERS},
                   {"type": "dense", "name": "head"}],
        "output": "all", "mode": "carry",
        "text": {"tokenizer": "bytes", "chat": CHAT},
        "license": "MIT", "data": "tiny-shakespeare, 1,115,394 bytes, public domain; first 90 % trained on",
        "metrics": {"held_out_nats_per_byte": round(nats, 4), "held_out_bits_per_byte": round(nats / math.log(2), 4),
                    "counting_order_4_nats_per_byte": 1.669},
        "golden": {"inputs": "golden.x", "outputs": "golden.y"},
    }
    rnnd_export.write_safetensors(args.export, tensors, config)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("data")
    ap.add_argument("--work", default="build/train/shakespeare")
    ap.add_argument("--minutes", type=float, default=80)
    ap.add_argument("--lr", type=float, default=2e-3)
    ap.add_argument("--batch", type=int, default=32)
    ap.add_argument("--steps", type=int, default=80)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--export", metavar="FILE")
    args = ap.parse_args()
    data = np.frombuffer(open(args.data, "rb").read(), dtype=np.uint8)
    split = int(len(data) * 0.9)
    if args.export:
        export(args, data, split)
    else:
        train(args, data, split)


if __name__ == "__main__":
    main()
