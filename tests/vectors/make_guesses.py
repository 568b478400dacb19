#!/usr/bin/python3
"""Small ONNX models of text and of a series whose files leave one thing to be guessed: an input "rate" that the graph
only compares with 16000. The side files say the task and leave the guess to be confirmed.

    /usr/bin/python3 -I tests/vectors/make_guesses.py tests/vectors/guess
"""
import json
import os
import sys

import numpy
from onnx import TensorProto, checker, helper, numpy_helper, save

rng = numpy.random.default_rng(5)
H, SYMBOLS = 6, "ab c\n"


def floats(*shape):
    return rng.uniform(-0.5, 0.5, shape).astype("float32")


def network(first, ends, width, outputs):
    """`first` makes "in" [T][B][width] of the input; a bias is one of two, as the rate says."""
    weights = {"W": floats(1, 4 * H, width), "R": floats(1, 4 * H, H), "B": floats(1, 8 * H), "head": floats(H, outputs),
               "one": floats(outputs), "other": floats(outputs), "axis": numpy.array([1]),
               "sixteen": numpy.array(16000)}
    nodes = first + [
        helper.make_node("LSTM", ["in", "W", "R", "B"], ["steps", "", ""], hidden_size=H),
        helper.make_node("Squeeze", ["steps", "axis"], ["rows"]),
        helper.make_node("MatMul", ["rows", "head"], ["product"]),
        helper.make_node("Equal", ["rate", "sixteen"], ["is"]),
        helper.make_node("Where", ["is", "one", "other"], ["bias"]),
        helper.make_node("Add", ["product", "bias"], ["y"])]
    return nodes, weights, ends + [helper.make_tensor_value_info("rate", TensorProto.INT64, [])]


def write(folder, name, nodes, weights, inputs, outputs, side_file):
    graph = helper.make_graph(nodes, name, inputs,
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["t", "b", outputs])],
                              [numpy_helper.from_array(v, k) for k, v in weights.items()])
    model = helper.make_model(graph, producer_name="make_guesses", opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    checker.check_model(model)
    save(model, os.path.join(folder, name + ".onnx"))
    with open(os.path.join(folder, name + ".rnnd.json"), "w") as f:
        f.write(json.dumps(side_file) + "\n")


def main(folder):
    os.makedirs(folder, exist_ok=True)
    nodes, weights, inputs = network([helper.make_node("Gather", ["table", "ids"], ["in"])],
                                     [helper.make_tensor_value_info("ids", TensorProto.INT64, ["t", "b"])], 3,
                                     len(SYMBOLS))
    weights["table"] = floats(len(SYMBOLS), 3)
    write(folder, "text", nodes, weights, inputs, len(SYMBOLS),
          {"format": 1, "task": "text", "text": {"tokenizer": "chars", "symbols": list(SYMBOLS)}})
    nodes, weights, inputs = network([helper.make_node("Identity", ["x"], ["in"])],
                                     [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["t", "b", 1])], 1, 1)
    write(folder, "series", nodes, weights, inputs, 1,
          {"format": 1, "task": "series", "series": {"channels": [{"name": "value"}]}})


main(sys.argv[1])
