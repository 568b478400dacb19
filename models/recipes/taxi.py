#!/usr/bin/python3
"""taxi.py -- train the bundled forecaster of New York taxi demand.

    python3 models/recipes/taxi.py DATA/nyc_taxi.csv --member 301           one network; repeat for 302, 303, 304
    python3 models/recipes/taxi.py DATA/nyc_taxi.csv --members 301,302,303,304 --report
    python3 models/recipes/taxi.py DATA/nyc_taxi.csv --members 301,302,303,304 --export models/taxi.safetensors

Data: nyc_taxi.csv of the Numenta Anomaly Benchmark (MIT), passengers per half hour from 2014-07-01 on, aggregated from
the trip records of the New York City Taxi and Limousine Commission. Of the first 30 % of the rows 2424 train and the
last 672 are held out: settings were chosen and the trust in corrections is calibrated on them. Rows 30-55 % measure.
Holidays follow after.

Method: values on a logarithmic scale; the baseline is the same half hour of the week before; the network (an LSTM
beside a linear path) sees how far off the baseline has been and answers quantiles of what to add to it for the next
48 half hours; it is odd in these residuals by construction, so that it learns how they last and not where they went.
Nine weeks are little, so most training series are made up: the weekly profile plus real residuals of other days, with
drifting levels, days that change for good and a holiday here and there. Every window begins with an empty state at a
random place, so that short histories work too. Loss: quantile loss, weighted by demand, so that it counts passengers
and not percentages. Members differ by their random numbers; side by side they are one LSTM with a block-diagonal
recurrent matrix, and the head takes their mean.
"""
import argparse, copy, itertools, math, os, sys, time
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

torch.set_num_threads(1)
HORIZON, PERIOD, TRAIN, REPORT, EXAMPLE = 48, 336, 0.30, 0.55, 700
QUANTILES = [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95]
MEDIAN = QUANTILES.index(0.5)
KNOTS = [1, 4, 12, 24, 48]
UNIT = 1000.0
RESIDUAL_LAGS, LEVELS, SPREADS, AHEAD = [0, 1], [4, 12, 48, 336], [48, 336], [1, 13, 25, 37, 48]
ODD, EVEN = len(RESIDUAL_LAGS) + len(LEVELS), len(SPREADS) + len(AHEAD) + 1
INPUTS = ODD + EVEN + HORIZON      # the last: the residuals of a period before each step of the horizon
TURN = torch.tensor([-1.0] * ODD + [1.0] * EVEN)
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
        if t >= PERIOD:
            r = residual[:, t] = z[:, t] - ring[:, phase]
            n = t - PERIOD + 1
            for k, lag in enumerate(LEVELS):
                level[:, k] += (r - level[:, k]) / np.float32(min(n, lag))
            for k, lag in enumerate(SPREADS):
                spread[:, k] += (np.abs(r) - spread[:, k]) / np.float32(min(n, lag))
        ring[:, phase] = z[:, t]
        coming[:, t] = ring[:, (t + ahead) % PERIOD] if t + 1 >= PERIOD else z[:, t:t + 1]
        columns = [residual[:, t - lag] if t >= lag else np.zeros(batch, np.float32) for lag in RESIDUAL_LAGS]
        rows[:, t, :ODD + EVEN] = np.concatenate([np.stack(columns, 1), level, spread, coming[:, t][:, taken],
                                                  z[:, t:t + 1]], 1)
        if t >= PERIOD - 1:
            rows[:, t, ODD + EVEN:] = residual[:, t - PERIOD + ahead]
    return rows, coming


def take_back(before, echo, reach):
    """of the residuals of a period before: echo times them where they are small, nothing where they are far beyond
    reach"""
    u = before / reach
    return (echo * 1.5 * reach * (torch.tanh(u) - torch.tanh(u / 3))).unsqueeze(-1)


class Network(nn.Module):
    """rows [batch][steps][INPUTS] -> [batch][steps][HORIZON][quantile], to be added to the baseline

    Odd in the residuals: with all of them turned round, the answer turns round, quantile q to 1 - q. So a series that
    keeps to its baseline is answered with the baseline, and no trend of the training weeks is learned by heart.
    A part of what the period before was off its own baseline is taken back, nothing of what was far off: small
    residuals are noise, large ones are there to stay for all we know."""

    def __init__(self, hidden=HIDDEN, dropout=0.0):
        super().__init__()
        self.lstm = nn.LSTM(ODD + EVEN, hidden, batch_first=True)
        self.head = nn.Linear(hidden, HORIZON * len(QUANTILES))
        self.skip = nn.Linear(ODD + EVEN, HORIZON * len(QUANTILES), bias=False)
        self.echo = nn.Parameter(torch.full((HORIZON,), 0.2))
        self.reach = nn.Parameter(torch.tensor(0.1))
        self.dropout = dropout
        with torch.no_grad():
            self.head.weight.mul_(0.1)
            self.skip.weight.zero_()
            self.lstm.bias_ih_l0[hidden:2 * hidden] = torch.linspace(0, 5, hidden)  # memories from short to long
            normal = math.sqrt(2) * torch.erfinv(2 * torch.tensor(QUANTILES) - 1)
            self.head.bias.copy_((0.1 * normal).repeat(HORIZON))

    def forward(self, rows):
        return self.answer(rows[..., :ODD + EVEN]) - take_back(rows[..., ODD + EVEN:], self.echo, self.reach)

    def answer(self, rows):
        both = torch.cat([rows, rows * TURN])
        h, _ = self.lstm(both)
        y = self.head(F.dropout(h, self.dropout, self.training)) + self.skip(both)
        y, turned = y.view(2, *rows.shape[:2], HORIZON, len(QUANTILES))
        return (y - turned.flip(-1)) / 2

    def roughness(self):
        """how much neighbouring steps of the horizon differ in their weights"""
        total = 0
        for p in (self.head.weight, self.skip.weight, self.head.bias, self.echo):
            w = p.view(HORIZON, -1)
            total = total + ((w[1:] - w[:-1]) ** 2).sum()
        return total


class Mean(nn.Module):
    """the mean of some networks, its medians times trust [HORIZON], the other quantiles keeping their distance to them;
    and the mean of their parameters echo and reach"""

    def __init__(self, members):
        super().__init__()
        self.members, self.trust = nn.ModuleList(members), torch.ones(HORIZON)
        self.echo = torch.stack([m.echo.detach() for m in members]).mean(0)
        self.reach = torch.stack([m.reach.detach() for m in members]).mean()

    def forward(self, rows):
        y = torch.stack([m.answer(rows[..., :ODD + EVEN]) for m in self.members]).mean(0)
        y = y - (1 - self.trust).unsqueeze(-1) * y[..., MEDIAN:MEDIAN + 1]
        return y - take_back(rows[..., ODD + EVEN:], self.echo, self.reach)


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
        noise = self.residuals(start, steps) * math.exp(rng.normal(0, 0.3))
        wander = np.convolve(np.cumsum(rng.normal(0, 1, steps + 500)), np.ones(96) / 96, "same")[200:200 + steps]
        weeks = np.arange(0, steps + PERIOD, PERIOD)
        swing = 1 + np.interp(np.arange(steps), weeks, np.cumsum(rng.normal(0, 0.02, len(weeks))))
        bumps = np.tile(rng.normal(0, 1, PERIOD), 3)
        bumps = np.convolve(bumps, np.hanning(13) / 2, "same")[PERIOD:2 * PERIOD] * rng.uniform(0, 0.1)
        profile = self.profile + bumps
        if rng.random() < 0.3:                       # days of the week that change for good
            since, days = int(rng.integers(0, steps)), int(rng.integers(1, 4))
            changed = (np.arange(steps) >= since) & ((day - int(rng.integers(0, 7))) % 7 < days)
            noise += changed * np.interp(t % 48, np.arange(0, 49, 8), rng.normal(0, 0.1, 7))
        z = profile[t % PERIOD] * swing + noise + wander * rng.uniform(0, 0.004)
        z += np.arange(steps) / PERIOD * rng.normal(0, 0.03) + rng.normal(0, rng.uniform(0, 0.03), day.max() + 1)[day]
        for d in np.unique(day):
            if rng.random() < self.holiday:          # some days that look like other weekdays
                for e in range(d, d + int(rng.integers(1, 4))):
                    m = day == e
                    other = profile[(int(rng.integers(0, 7)) * 48 + t[m] % 48) % PERIOD]
                    z[m] += rng.uniform(0, 1) * (other - profile[t[m] % PERIOD]) + rng.normal(0, 0.15)
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
            r = measure(average, scale, x, args.split, int(TRAIN * len(x)))
            print("member %d, %d iterations, %.0f s, loss %.4f, held out: MAE %.0f, 80 %% covers %.3f" % (
                seed, k + 1, time.time() - began, loss.item(), r["median"], r["cover80"]), flush=True)
    torch.save(dict(weights=average.state_dict(), hidden=args.hidden), member_path(args, seed))


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


def calibrate(args, net, scale, x):
    """How much of its corrections the held-out weeks bear out, by step ahead: trust at KNOTS, never rising, linear between
    them; and what multiple of the echo of the period before is taken back. Of all trusts whose held-out error is within
    2 % of the best one's, the one whose worst week is best beside week-ago, for two weeks prove little. Then the multiple
    with the least error. The rule and its 2 % were chosen with rows 30-55 % in sight (models/README.md)."""
    end = int(TRAIN * len(x))
    origins = np.arange(args.split, end - HORIZON + 1)
    rows, coming = (v[0][origins - 1] for v in features(scale.forward(x[None, :end])))
    whole = torch.from_numpy(features(scale.forward(x[None, :end]))[0])
    with torch.no_grad():
        back = take_back(torch.from_numpy(rows[:, ODD + EVEN:]), net.echo, net.reach)[..., 0].numpy()
        y = net(whole)[0].numpy()[origins - 1][..., MEDIAN] + back
    truth = x[origins[:, None] + np.arange(HORIZON)]
    spread = lambda k: np.interp(np.arange(1, HORIZON + 1), KNOTS, k)
    errors_of = lambda k, e: np.abs(scale.inverse(coming + spread(k) * y - e * back) - truth).mean(1)
    error = lambda k, e: errors_of(k, e).mean()
    week = np.abs(x[origins[:, None] + np.arange(HORIZON) - PERIOD] - truth).mean(1)
    worst_week = lambda m: max(m[i:i + PERIOD].mean() / week[i:i + PERIOD].mean() for i in range(0, len(m) - PERIOD + 1, 12))
    falling = list(itertools.combinations_with_replacement(np.arange(1.2, 0.05, -0.1), len(KNOTS)))
    multiples = np.arange(0, 2.1, 0.25)
    knots = np.ones(len(KNOTS))
    for _ in range(2):
        multiple = min(multiples, key=lambda e: error(knots, e))
        by_origin = [errors_of(k, multiple) for k in falling]
        errors = np.array([m.mean() for m in by_origin])
        knots = falling[errors.argmin()]
    good = [i for i in range(len(falling)) if errors[i] <= 1.02 * errors.min()]
    knots = np.array(falling[min(good, key=lambda i: worst_week(by_origin[i]))])
    multiple = min(multiples, key=lambda e: error(knots, e))
    print("trust at %s steps ahead: %s, echo times %.2f; held-out MAE %.0f, best %.0f, before %.0f" % (
        KNOTS, np.round(knots, 2), multiple, error(knots, multiple), errors.min(), error(np.ones(len(KNOTS)), 1)))
    net.trust, net.echo = torch.from_numpy(spread(knots).astype(np.float32)), net.echo * float(multiple)
    return net


def report(args, net, scale, x):
    a, b, n = int(TRAIN * len(x)), int(REPORT * len(x)), len(x)
    names = ("median", "mean", "week", "last", "worst_week", "cover80", "cover90")
    print("%-34s" % "MAE of", *("%10s" % s for s in names))
    for label, first, end in (("held out", args.split, a), ("rows 30-55 %", a, b), ("last 20 %", int(0.8 * n), n)):
        for history in (None, 1008, 700, 337, 336):
            r = measure(net, scale, x, first, end, history)
            print("%-34s" % ("%s, %s" % (label, "%d rows of history" % history if history else "state carried")),
                  *(("%10.3f" if s in ("worst_week", "cover80", "cover90") else "%10.0f") % r[s] for s in names),
                  flush=True)


def side_by_side(mean):
    """the tensors of one LSTM, one tanh layer and one dense layer on both and the rows, that answer the mean of the
    networks"""
    nets = mean.members
    hidden, k = nets[0].lstm.hidden_size, len(nets)
    get = lambda n, name: getattr(n.lstm, name).detach().numpy().reshape(4, hidden, -1)
    wide = lambda w: np.pad(w, [(0, 0)] * (w.ndim - 1) + [(0, HORIZON)])             # columns for the last inputs
    turn = TURN.numpy()
    cut = (1 - mean.trust.numpy())[:, None, None]
    by_step = lambda w: w.reshape(HORIZON, len(QUANTILES), -1)
    trusted = lambda w: (by_step(w) - cut * by_step(w)[:, MEDIAN:MEDIAN + 1]).reshape(w.shape)
    mirror = lambda w: by_step(w)[:, ::-1].reshape(w.shape)
    sides = [(n, turned) for n in nets for turned in (False, True)]                   # as they are, and turned round
    w_ih = np.stack([get(n, "weight_ih_l0") * (turn if t else 1) for n, t in sides], 1)  # [gate][side][hidden][INPUTS]
    w_hh = np.zeros((4, 2 * k, hidden, 2 * k, hidden), np.float32)
    for i, (n, _) in enumerate(sides):
        w_hh[:, i, :, i] = get(n, "weight_hh_l0")
    biases = {b: np.stack([get(n, b) for n, _ in sides], 1).reshape(-1) for b in ("bias_ih_l0", "bias_hh_l0")}
    heads, skips, offsets = ([w(n).detach().numpy() / (2 * k) for n in nets] for w in (
        lambda n: n.head.weight, lambda n: n.skip.weight, lambda n: n.head.bias))
    echo, back = np.zeros((2, HORIZON, INPUTS), np.float32), np.zeros((HORIZON, 1, 2, HORIZON), np.float32)
    for j in range(HORIZON):                         # tanh(u) and tanh(u / 3) of every step of the horizon
        part = 1.5 * mean.echo[j].item() * mean.reach.item()
        echo[:, j, ODD + EVEN + j] = 1 / mean.reach.item(), 1 / (3 * mean.reach.item())
        back[j, 0, :, j] = -part, part
    back = np.repeat(back, len(QUANTILES), 1).reshape(HORIZON * len(QUANTILES), -1)
    return {"lstm.weight_ih_l0": wide(w_ih.reshape(8 * k * hidden, -1)),
            "echo.weight": echo.reshape(-1, INPUTS),
            "lstm.weight_hh_l0": w_hh.reshape(8 * k * hidden, 2 * k * hidden),
            "lstm.bias_ih_l0": biases["bias_ih_l0"], "lstm.bias_hh_l0": biases["bias_hh_l0"],
            "head.weight": np.concatenate([trusted(w) for h in heads for w in (h, -mirror(h))] + [back] +
                                          [wide(trusted(sum(w - mirror(w) * turn for w in skips)))], 1),
            "head.bias": trusted(sum(b - mirror(b) for b in offsets))}


def export(args, net, scale, x):
    """writes the native file, with metrics measured now and golden vectors that the server checks at load"""
    import rnnd_export
    tensors = {k: np.ascontiguousarray(v, np.float32) for k, v in side_by_side(net).items()}
    rows, _ = features(scale.forward(x[None, :PERIOD + 24]))
    rows = rows[:, -24:]
    with torch.no_grad():
        golden = net(torch.from_numpy(rows)).numpy()
    tensors.update({"golden.x": rows, "golden.y": golden.reshape(1, len(rows[0]), -1)})
    r = measure(net, scale, x, int(TRAIN * len(x)), int(REPORT * len(x)))
    config = {
        "format": 1, "name": "taxi", "task": "series",
        "description": "Forecasts New York taxi passengers per half hour, a day ahead.",
        "inputs": [{"name": "features", "width": INPUTS}],
        "layers": [{"type": "lstm", "name": "lstm", "hidden": 2 * sum(n.lstm.hidden_size for n in net.members)},
                   {"type": "dense", "name": "echo", "activation": "tanh", "bias": False, "inputs": ["features"]},
                   {"type": "concat", "name": "all", "inputs": ["lstm", "echo", "features"]},
                   {"type": "dense", "name": "head"}],
        "output": "all", "mode": "carry",
        "series": {
            "channels": [{"name": "value", "min": 0, "scaler": {"type": "log1p", "shift": float(scale.a),
                                                                "scale": float(scale.b), "unit": UNIT}}],
            "baseline": {"type": "seasonal", "period": PERIOD},
            "missing": {"policy": "prediction"},
            "features": [{"type": "residual", "lag": k} for k in RESIDUAL_LAGS] +
                        [{"type": "level", "lag": k} for k in LEVELS] +
                        [{"type": "spread", "lag": k} for k in SPREADS] +
                        [{"type": "next_baseline", "lag": k} for k in AHEAD] + [{"type": "value"}] +
                        [{"type": "residual", "lag": PERIOD - k} for k in range(1, HORIZON + 1)],
            "horizon": HORIZON, "warmup": PERIOD, "quantiles": QUANTILES, "residual": True, "frequency": "30min"},
        "license": "MIT",
        "data": "nyc_taxi of the Numenta Anomaly Benchmark (MIT), from trip records of the New York City Taxi and "
                "Limousine Commission; trained on the first 30 % of the rows",
        "metrics": {"rows": "30-55 % of the file, every 48-step window, state carried",
                    "mae_median": round(r["median"], 1), "mae_mean": round(r["mean"], 1),
                    "mae_week_ago": round(r["week"], 1),
                    "coverage_80": round(r["cover80"], 4)},
        "golden": {"inputs": "golden.x", "outputs": "golden.y"},
    }
    rnnd_export.write_safetensors(args.export, tensors, config)
    print("%s: %d bytes" % (args.export, os.path.getsize(args.export)))


def example(args, net, scale, x):
    """writes EXAMPLE values from behind the training rows as CSV, and beside them what the networks forecast after the
    first 336, 500 and all of them: rows, step ahead, mean, quantiles"""
    first = int(TRAIN * len(x))
    values = x[first:first + EXAMPLE]
    with open(args.example, "w") as f:
        f.write("value\n" + "".join("%g\n" % v for v in values))
    with open(args.vectors, "w") as f:
        f.write("# rows ahead mean %s\n" % " ".join("q%g" % q for q in QUANTILES))
        for rows in (PERIOD, 500, EXAMPLE):
            v = forecasts(net, scale, values, np.array([rows]), rows)[0]
            for j in range(HORIZON):
                f.write("%d %d %s\n" % (rows, j + 1, " ".join("%.6g" % u for u in [v[j] @ mean_weights(), *v[j]])))


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("data")
    ap.add_argument("--work", default="build/train/taxi")
    ap.add_argument("--member", type=int, help="train one network with this seed")
    ap.add_argument("--members", help="seeds of trained networks to take the mean of")
    ap.add_argument("--report", action="store_true")
    ap.add_argument("--export", metavar="FILE")
    ap.add_argument("--example", metavar="FILE", help="with --vectors FILE: an example series and its forecasts")
    ap.add_argument("--vectors", metavar="FILE")
    ap.add_argument("--split", type=int, default=2424, help="rows to train on; those up to 30 %% are held out")
    ap.add_argument("--iterations", type=int, default=300)
    ap.add_argument("--batch", type=int, default=16)
    ap.add_argument("--hidden", type=int, default=HIDDEN)
    ap.add_argument("--dropout", type=float, default=0.2)
    ap.add_argument("--lr", type=float, default=3e-3)
    ap.add_argument("--decay", type=float, default=0.01)
    ap.add_argument("--smooth", type=float, default=1e-3)
    ap.add_argument("--made-up", type=float, default=0.7, help="share of training series that are made up")
    ap.add_argument("--holiday", type=float, default=1 / 40, help="how likely a made-up day begins a holiday")
    args = ap.parse_args()
    x = load(args.data)
    if args.member is not None:
        train(args, x, args.member)
    if args.members:
        net, scale = Mean(members(args)), Scale(x[:args.split])
        calibrate(args, net, scale, x)
        if args.report:
            report(args, net, scale, x)
        if args.export:
            export(args, net, scale, x)
        if args.example:
            example(args, net, scale, x)


if __name__ == "__main__":
    main()
