"""torch_driver.py -- PyTorch as a peer: reads commands from standard input, answers each with a line.

open CELL INPUTS HIDDEN LAYERS BATCH STEPS THREADS FILE   FILE: x, then per layer w_ih, w_hh, b_ih, b_hh, as float32
run | row B | time BUDGET_US | close
"""
import sys
import time

import torch

torch.set_grad_enabled(False)
MAX_SAMPLES, SAMPLE_US, WARM_US, LONG_US = 4000, 40.0, 2000.0, 50000.0  # as in kernels/measure.c


class Network:
    def __init__(self, cell, inputs, hidden, layers, batch, steps, threads, path):
        torch.set_num_threads(threads)
        rows = (3 if cell == "gru" else 4) * hidden
        shapes = []
        for layer in range(layers):
            shapes += [(rows, hidden if layer else inputs), (rows, hidden), (rows,), (rows,)]
        sizes = [steps * batch * inputs] + [torch.Size(s).numel() for s in shapes]
        parts = torch.from_file(path, size=sum(sizes)).split(sizes)
        self.x = parts[0].reshape(steps, batch, inputs).clone()
        self.net = (torch.nn.GRU if cell == "gru" else torch.nn.LSTM)(inputs, hidden, layers)
        names = ("weight_ih_l%d", "weight_hh_l%d", "bias_ih_l%d", "bias_hh_l%d")
        for i, (part, shape) in enumerate(zip(parts[1:], shapes)):
            getattr(self.net, names[i % 4] % (i // 4)).copy_(part.reshape(shape))
        self.net.eval()
        zeros = torch.zeros(layers, batch, hidden)
        self.state = zeros if cell == "gru" else (zeros, zeros.clone())
        self.y = None

    def run(self):
        self.y, self.state = self.net(self.x, self.state)

    def row(self, b):
        return " ".join("%.9g" % v for v in self.y[-1, b].tolist())

    def timed(self, runs):
        cpu, wall = time.process_time(), time.perf_counter()
        for _ in range(runs):
            self.run()
        wall = time.perf_counter() - wall
        return wall / runs * 1e6, (time.process_time() - cpu) / runs * 1e6

    def time(self, budget_us):
        start, fastest = time.perf_counter(), float("inf")
        while True:
            sample = self.timed(1)
            fastest = min(fastest, sample[0])
            if (time.perf_counter() - start) * 1e6 >= WARM_US:
                break
        runs = int(SAMPLE_US / fastest) + 1 if fastest < SAMPLE_US else 1
        samples, start = [], time.perf_counter()
        if fastest > LONG_US:
            samples.append(sample)
        else:
            while len(samples) < 3 or (len(samples) < MAX_SAMPLES
                                       and (time.perf_counter() - start) * 1e6 < budget_us):
                samples.append(self.timed(runs))
        wall, cpu = sorted(s[0] for s in samples), sorted(s[1] for s in samples)
        return "%.3f %.3f %.3f" % (wall[len(wall) // 2], wall[0], cpu[len(cpu) // 2])


def main():
    print("PyTorch " + torch.__version__, flush=True)
    network = None
    for line in sys.stdin:
        command, *args = line.split()
        answer = "ok"
        if command == "open":
            network = Network(args[0], *map(int, args[1:7]), args[7])
        elif command == "run":
            network.run()
        elif command == "row":
            answer = network.row(int(args[0]))
        elif command == "time":
            answer = network.time(float(args[0]))
        else:
            network = None
        print(answer, flush=True)


main()
