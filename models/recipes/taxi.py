#!/usr/bin/python3
"""taxi.py -- train the bundled forecaster of New York taxi demand.

    python3 models/recipes/taxi.py DATA/nyc_taxi.csv --member 1 --work build/train/taxi     one network; repeat for 2, 3, ..
    python3 models/recipes/taxi.py DATA/nyc_taxi.csv --members 1,2,3 --report               figures of their mean
    python3 models/recipes/taxi.py DATA/nyc_taxi.csv --members 1,2,3 --export models/taxi.safetensors

Data: nyc_taxi.csv of the Numenta Anomaly Benchmark (MIT), passengers per half hour from 2014-07-01 on, aggregated from
the trip records of the New York City Taxi and Limousine Commission. The first 30 % of the rows train; of these the
last 672 were held out while settings were chosen (--split 2424). Rows 30-55 % measure. Holidays follow after.

Method: values on a logarithmic scale; the baseline is the same half hour of the week, smoothed over the weeks; the network
(an LSTM beside a linear path) sees how far off the baseline has been and answers quantiles of what to add to it for
the next 48 half hours. Nine weeks are little, so most training series are made up: the weekly profile plus
real residuals of other days, turned upside down at times, with drifting levels and a holiday here and there. Every
window begins with an empty state at a random place, so that short histories work too. Loss: quantile loss, weighted
by demand, so that it counts passengers and not percentages. Members differ by their random numbers; side by side
they are one LSTM with a block-diagonal recurrent matrix, and the head takes their mean.
"""
import argparse, copy, json, math, os, sys, time
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

torch.set_num_threads(1)
HORIZON, PERIOD, TRAIN, REPORT = 48, 336, 0.30, 0.55
QUANTILES = [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95]
MEDIAN = QUANTILES.index(0.5)
UNIT, SMOOTHING = 1000.0, 0.7
RESIDUAL_LAGS, LEVELS, SPREADS, AHEAD = [0, 1], [4, 12, 48, 336], [48, 336], [1, 13, 25, 37, 48]
INPUTS = len(RESIDUAL_LAGS) + len(LEVELS) + len(SPREADS) + len(AHEAD) + 1
HIDDEN = 16


def load(path):
    with open(path) as f:
        return np.array([float(line.split(",")[1]) for line in f.read().split("\n")[1:] if line])


class Scale:
    """passengers <-> the network's units, as the server's log1p scaler does it"""

    def __init__(self, x):
        logs = np.log1p(x / UNIT)
        self.a, self.b = np.float32(logs.mean()), np.float32(logs.std())

    def forward(self, x):
        return ((np.log1p(np.asarray(x) / UNIT) - float(self.a)) / float(self.b)).astype(np.float32)

    def inverse(self, z):
        return np.expm1(np.asarray(z, np.float64) * float(self.b) + float(self.a)) * UNIT


def features(z):
    """z [batch][steps] -> network rows [batch][steps][INPUTS] and, after each step, the baseline of the HORIZON
    steps to come [batch][steps][HORIZON]; what core/tasks/series.c does, many series at a time"""
    batch, steps = z.shape
    ring = np.zeros((batch, PERIOD), np.float32)
    level, spread = np.zeros((batch, len(LEVELS)), np.float32), np.zeros((batch, len(SPREADS)), np.float32)
    residual = np.zeros((batch, steps), np.float32)
    rows, coming = np.zeros((batch, steps, INPUTS), np.float32), np.zeros((batch, steps, HORIZON), np.float32)
    ahead, taken = np.arange(1, HORIZON + 1), np.array(AHEAD) - 1
    for t in range(steps):
        phase = t % PERIOD
        r = residual[:, t] = z[:, t] - (ring[:, phase] if t >= PERIOD else z[:, t - 1] if t else 0)
        if t >= PERIOD:
            n = t - PERIOD + 1
            for k, lag in enumerate(LEVELS):
                level[:, k] += (r - level[:, k]) / np.float32(min(n, lag))
            for k, lag in enumerate(SPREADS):
                spread[:, k] += (np.abs(r) - spread[:, k]) / np.float32(min(n, lag))
            ring[:, phase] += np.float32(SMOOTHING) * r
        else:
            ring[:, phase] = z[:, t]
        coming[:, t] = ring[:, (t + ahead) % PERIOD] if t + 1 >= PERIOD else z[:, t:t + 1]
        columns = [residual[:, t - lag] if t >= lag else np.zeros(batch, np.float32) for lag in RESIDUAL_LAGS]
        rows[:, t] = np.concatenate([np.stack(columns, 1), level, spread, coming[:, t][:, taken], z[:, t:t + 1]], 1)
    return rows, coming


class Network(nn.Module):
    """rows [batch][steps][INPUTS] -> [batch][steps][HORIZON][quantile], to be added to the baseline"""

    def __init__(self, hidden=HIDDEN, dropout=0.0):
        super().__init__()
        self.lstm = nn.LSTM(INPUTS, hidden, batch_first=True)
        self.head = nn.Linear(hidden, HORIZON * len(QUANTILES))
        self.skip = nn.Linear(INPUTS, HORIZON * len(QUANTILES), bias=False)
        self.dropout = dropout
        with torch.no_grad():
            self.head.weight.mul_(0.1)
            self.skip.weight.zero_()
            self.lstm.bias_ih_l0[hidden:2 * hidden] = torch.linspace(0, 5, hidden)  # memories from short to long
            normal = math.sqrt(2) * torch.erfinv(2 * torch.tensor(QUANTILES) - 1)
            self.head.bias.copy_((0.1 * normal).repeat(HORIZON))

    def forward(self, rows):
        h, _ = self.lstm(rows)
        y = self.head(F.dropout(h, self.dropout, self.training)) + self.skip(rows)
        return y.view(*rows.shape[:2], HORIZON, len(QUANTILES))

    def roughness(self):
        """how much neighbouring steps of the horizon differ in their weights"""
        total = 0
        for p in (self.head.weight, self.skip.weight, self.head.bias):
            w = p.view(HORIZON, len(QUANTILES), -1)
            total = total + ((w[1:] - w[:-1]) ** 2).sum()
        return total


class Mean(nn.Module):
    """the mean of some networks"""

    def __init__(self, members):
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, rows):
        return torch.stack([m(rows) for m in self.members]).mean(0)


class Series:
    """training windows: the real series, or one made up from its weekly profile and its residuals"""

    def __init__(self, z, seed, made_up, holiday):
        self.z, self.rng, self.made_up, self.holiday = z, np.random.default_rng(seed), made_up, holiday
        self.profile = np.stack([np.median(z[k::PERIOD]) for k in range(PERIOD)]).astype(np.float32)
        self.residual = z - self.profile[np.arange(len(z)) % PERIOD]

    def residuals(self, start, steps):
        """residuals of real days in another order, each at its time of day"""
        rng, n = self.rng, len(self.z)
        if rng.random() < 0.5:                       # one stretch, moved by whole days
            at = int(rng.integers(0, n - steps - 48)) // 48 * 48 + start % 48
            return self.residual[at:at + steps].copy()
        out, done = np.zeros(steps, np.float32), 0
        while done < steps:
            take = min(steps - done, 48 * int(rng.integers(1, 8)))
            at = int(rng.integers(0, (n - take - 48) // 48)) * 48 + (start + done) % 48
            out[done:done + take] = self.residual[at:at + take]
            done += take
        return out

    def one(self, steps):
        rng = self.rng
        if rng.random() > self.made_up:
            at = int(rng.integers(0, len(self.z) - steps + 1))
            return self.z[at:at + steps]
        start = int(rng.integers(0, PERIOD))
        t = np.arange(start, start + steps)
        day = t // 48
        noise = self.residuals(start, steps) * rng.choice([-1, 1]) * math.exp(rng.normal(0, 0.3))
        wander = np.convolve(np.cumsum(rng.normal(0, 1, steps + 500)), np.ones(96) / 96, "same")[200:200 + steps]
        weeks = np.arange(0, steps + PERIOD, PERIOD)
        swing = 1 + np.interp(np.arange(steps), weeks, np.cumsum(rng.normal(0, 0.02, len(weeks))))
        z = self.profile[t % PERIOD] * swing + noise + wander * rng.uniform(0, 0.008)
        z += np.arange(steps) / PERIOD * rng.normal(0, 0.04) + rng.normal(0, rng.uniform(0, 0.06), day.max() + 1)[day]
        for d in np.unique(day):
            if rng.random() < self.holiday:          # a day that looks like another weekday
                m = day == d
                z[m] = self.profile[(int(rng.integers(0, 7)) * 48 + t[m] % 48) % PERIOD] + noise[m] + rng.normal(0, 0.2)
        return z.astype(np.float32)

    def batch(self, size):
        short = self.rng.random() < 0.5
        steps = int(self.rng.integers(PERIOD + 49, PERIOD + 200) if short else self.rng.integers(700, 1100))
        return np.stack([self.one(steps) for _ in range(2 * size if short else size)])


def quantile_loss(y, coming, z, scale):
    """y [batch][steps][HORIZON][quantile] at every step whose history is a period or more and whose future is known"""
    future = z.unfold(1, HORIZON, 1)[:, 1:]          # [batch][n][HORIZON]
    n = future.shape[1]
    at = slice(PERIOD - 1, n)
    target = future[:, at].unsqueeze(-1)
    error = target - (y[:, :n][:, at] + coming[:, :n][:, at].unsqueeze(-1))
    weight = torch.exp(target * float(scale.b) + float(scale.a)).clamp(max=60)
    q = torch.tensor(QUANTILES)
    importance = torch.ones(len(QUANTILES))
    importance[MEDIAN] = 3
    return (torch.maximum(q * error, (q - 1) * error) * weight / weight.mean() * importance).mean()


def train(args, x, seed):
    scale = Scale(x[:args.split])
    series = Series(scale.forward(x[:args.split]), seed, args.made_up, args.holiday)
    torch.manual_seed(seed)
    net = Network(args.hidden, args.dropout)
    average = copy.deepcopy(net)
    opt = torch.optim.AdamW(net.parameters(), lr=args.lr, weight_decay=args.decay, betas=(0.9, 0.98))
    began = time.time()
    for k in range(args.iterations):
        net.train()
        z = series.batch(args.batch)
        rows, coming = features(z)
        y = net(torch.from_numpy(rows))
        loss = quantile_loss(y, torch.from_numpy(coming), torch.from_numpy(z), scale)
        for g in opt.param_groups:
            g["lr"] = args.lr * min(1, (k + 1) / 20) * (0.02 + 0.49 * (1 + math.cos(math.pi * k / args.iterations)))
        opt.zero_grad()
        (loss + args.smooth * net.roughness()).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        opt.step()
        with torch.no_grad():
            for a, p in zip(average.parameters(), net.parameters()):
                a.mul_(0.98).add_(p, alpha=0.02)
        if (k + 1) % 100 == 0:
            line = "member %d, %d iterations, %.0f s, loss %.4f" % (seed, k + 1, time.time() - began, loss.item())
            if args.split < int(TRAIN * len(x)):
                r = measure(average, scale, x, args.split, int(TRAIN * len(x)))
                line += ", held out: MAE %.0f, 80 %% covers %.3f" % (r["median"], r["cover80"])
            print(line, flush=True)
    torch.save(dict(weights=average.state_dict(), hidden=args.hidden, split=args.split), member_path(args, seed))


def member_path(args, seed):
    os.makedirs(args.work, exist_ok=True)
    return os.path.join(args.work, "member-%d-%d.pt" % (args.split, seed))


def members(args):
    nets = []
    for seed in args.members.split(","):
        saved = torch.load(member_path(args, int(seed)))
        nets.append(Network(saved["hidden"]))
        nets[-1].load_state_dict(saved["weights"])
        nets[-1].eval()
    return nets


def uncross(v):
    """running maximum from the median upward, minimum downward; last axis"""
    for k in range(MEDIAN + 1, len(QUANTILES)):
        v[..., k] = np.maximum(v[..., k], v[..., k - 1])
    for k in range(MEDIAN - 1, -1, -1):
        v[..., k] = np.minimum(v[..., k], v[..., k + 1])
    return v


def mean_weights():
    """the mean as a weighted sum of the quantiles: core/tasks/quantile.c"""
    z = (math.sqrt(2) * torch.erfinv(2 * torch.tensor(QUANTILES, dtype=torch.float64) - 1)).numpy()
    density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    w = np.zeros(len(z))

    def add(k, mass, first):
        upper = (first - z[k] * mass) / (z[k + 1] - z[k])
        w[k] += mass - upper
        w[k + 1] += upper

    add(0, QUANTILES[0], -density[0])
    for k in range(len(z) - 1):
        add(k, QUANTILES[k + 1] - QUANTILES[k], density[k] - density[k + 1])
    add(len(z) - 2, 1 - QUANTILES[-1], density[-1])
    return w


def forecasts(net, scale, x, origins, history=None):
    """[origins][HORIZON][quantile] in passengers: the state carried from the first row, or new before each forecast"""
    z = scale.forward(x)
    net.eval()
    with torch.no_grad():
        if history is None:
            rows, coming = features(z[None, :max(origins)])
            y = net(torch.from_numpy(rows))[0].numpy()[origins - 1] + coming[0][origins - 1][..., None]
        else:
            parts = []
            for some in np.array_split(origins, max(1, len(origins) // 200)):
                rows, coming = features(np.stack([z[t - history:t] for t in some]))
                parts.append(net(torch.from_numpy(rows))[:, -1].numpy() + coming[:, -1][..., None])
            y = np.concatenate(parts)
    return np.maximum(0, uncross(scale.inverse(y)))


def measure(net, scale, x, first, end, history=None):
    """all forecasts whose HORIZON steps lie in rows first .. end-1"""
    origins = np.arange(first, end - HORIZON + 1)
    steps = origins[:, None] + np.arange(HORIZON)
    v, truth = forecasts(net, scale, x[:end], origins, history), x[steps]
    error = lambda p: np.abs(p - truth)
    mine, week = error(v[..., MEDIAN]).mean(1), error(x[steps - PERIOD]).mean(1)
    ratio = [mine[k:k + PERIOD].mean() / week[k:k + PERIOD].mean() for k in range(max(1, len(mine) - PERIOD + 1))]
    return dict(median=mine.mean(), mean=error(v @ mean_weights()).mean(), week=week.mean(),
                last=error(x[origins - 1][:, None]).mean(), worst_week=max(ratio),
                cover80=((truth >= v[..., 1]) & (truth <= v[..., -2])).mean(),
                cover90=((truth >= v[..., 0]) & (truth <= v[..., -1])).mean())


def report(args, net, scale, x):
    a, b, n = int(TRAIN * len(x)), int(REPORT * len(x)), len(x)
    names = ("median", "mean", "week", "last", "worst_week", "cover80", "cover90")
    print("%-34s" % "MAE of", *("%10s" % s for s in names))
    parts = [("held out", args.split, a)] if args.split < a else [("rows 30-55 %", a, b), ("last 20 %", int(0.8 * n), n)]
    for label, first, end in parts:
        for history in (None, 1008, 700, 337, 336):
            r = measure(net, scale, x, first, end, history)
            print("%-34s" % ("%s, %s" % (label, "%d rows of history" % history if history else "state carried")),
                  *(("%10.3f" if s in ("worst_week", "cover80", "cover90") else "%10.0f") % r[s] for s in names),
                  flush=True)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("data")
    ap.add_argument("--work", default="build/train/taxi")
    ap.add_argument("--member", type=int, help="train one network with this seed")
    ap.add_argument("--members", help="seeds of trained networks to take the mean of")
    ap.add_argument("--report", action="store_true")
    ap.add_argument("--export", metavar="FILE")
    ap.add_argument("--split", type=int, help="rows to train on; default the first 30 %%")
    ap.add_argument("--iterations", type=int, default=600)
    ap.add_argument("--batch", type=int, default=16)
    ap.add_argument("--hidden", type=int, default=HIDDEN)
    ap.add_argument("--dropout", type=float, default=0.2)
    ap.add_argument("--lr", type=float, default=3e-3)
    ap.add_argument("--decay", type=float, default=0.01)
    ap.add_argument("--smooth", type=float, default=1e-3)
    ap.add_argument("--made-up", type=float, default=0.7)
    ap.add_argument("--holiday", type=float, default=1 / 40)
    args = ap.parse_args()
    x = load(args.data)
    args.split = args.split or int(TRAIN * len(x))
    if args.member is not None:
        train(args, x, args.member)
    if args.members:
        nets, scale = members(args), Scale(x[:args.split])
        if args.report:
            report(args, Mean(nets), scale, x)
        if args.export:
            export(args, nets, scale, x)


if __name__ == "__main__":
    main()
