#!/usr/bin/env python3
"""Compares this engine with llama.cpp on the CPU: same machine, shape and values, 4 bits, same threads, in turns.

    cargo xtask rivals --native -- [--threads 1,2] [--rounds 5] [--prefill 128,512] [--decode 64] [--gguf FILE]

With --gguf both engines read that file, with its weights as they are stored. Without it the weights are random: the other
engine is llama-cpp-python from PyPI, compiled for this machine (its default), with Q4_0 weights, and this engine has 4 bits
in groups of 64. The packages of requirements-native.txt are installed into target/rivals/, unless this interpreter has
them. Prints one JSON object per round and engine, and at the end the medians, and the median of the ratios of all rounds: on
a shared machine the ratios are reliable, but the speeds are not.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WORK = ROOT / "target" / "rivals"
MODELS = WORK / "models"
SHORT = 16
MODULES = ("numpy", "gguf", "onnx", "llama_cpp")


def prepare(gguf):
    """Restarts in a Python that has the packages, and makes the models if necessary."""
    if not all(find_spec(module) for module in MODULES):
        own = WORK / "native"
        installed = own / "installed"
        if Path(sys.prefix) == own:
            sys.exit(f"{own} lacks some of {', '.join(MODULES)}: delete it and run this again")
        if not installed.exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", own], check=True)
            packages = ["-r", HERE / "requirements-native.txt"]
            subprocess.run([own / "bin" / "pip", "install", "--quiet", *packages], check=True, stdout=sys.stderr)
            installed.touch()
        # The full path, because Python finds its packages from the path that it is started with.
        python = str(own / "bin" / "python")
        os.execv(python, [python, __file__, *sys.argv[1:]])
    if not gguf and not MODELS.exists():
        subprocess.run([sys.executable, HERE / "models.py", MODELS], check=True, stdout=sys.stderr)


def measure_ours(flags, threads):
    model, weights = (flags.gguf, "stored") if flags.gguf else (MODELS / "hf", "q4")
    command = [
        os.environ.get("MOBILELLM", ROOT / "target" / "release" / "mobilellm"),
        *("bench", "--quiet", "--json", "--backend", "cpu", "--weights", weights, "--repeat", "1", "--limit", "600"),
        *("--model", model, "--prefill", ",".join(map(str, flags.prefill))),
        *("--decode", str(flags.decode), "--context", str(flags.context)),
    ]
    environment = os.environ | {"RAYON_NUM_THREADS": str(threads)}
    report = json.loads(subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE).stdout)
    return {
        "prefill": {run["tokens"]: run["tokens_per_s"] for run in report["prefill"]},
        "decode": {run["context"]: run["tokens_per_s"] for run in report["decode"]},
    }


def open_llama(flags, threads):
    from llama_cpp import Llama

    longest = max(*flags.prefill, flags.context) + flags.decode + SHORT
    model = str(flags.gguf or MODELS / "gguf" / "model-Q4_0.gguf")
    batch = {"n_batch": 512, "n_ubatch": 512, "n_threads": threads, "n_threads_batch": threads}
    return Llama(model, n_ctx=longest, verbose=False, **batch)


def measure_llama(flags, llama):
    def seconds(call):
        start = time.perf_counter()
        call()
        return time.perf_counter() - start

    def prompt(count):
        return [random.randrange(300, 49000) for _ in range(count)]

    def decode(context):
        llama.reset()
        llama.eval(prompt(context))
        tokens = prompt(flags.decode)
        return flags.decode / seconds(lambda: [llama.eval([token]) for token in tokens])

    def prefill(count):
        llama.reset()
        tokens = prompt(count)
        return count / seconds(lambda: llama.eval(tokens))

    prefill(SHORT)
    return {
        "prefill": {count: prefill(count) for count in flags.prefill},
        "decode": {context: decode(context) for context in (SHORT, flags.context)},
    }


def compare(flags, threads):
    llama = open_llama(flags, threads)
    rounds = []
    for _ in range(flags.rounds):
        pair = (measure_ours(flags, threads), measure_llama(flags, llama))
        for engine, result in zip(("mobilellm", "llama.cpp"), pair):
            print(json.dumps({"engine": engine, "threads": threads, **result}), flush=True)
        rounds.append(pair)
    for kind, counts in (("prefill", flags.prefill), ("decode", (SHORT, flags.context))):
        for count in counts:
            pairs = [(ours[kind][count], theirs[kind][count]) for ours, theirs in rounds if count in ours[kind]]
            if not pairs:
                continue
            ours, theirs = (statistics.median(values) for values in zip(*pairs))
            ratio = statistics.median(a / b for a, b in pairs)
            summary = {"kind": kind, "tokens": count, "threads": threads, "rounds": len(pairs)}
            summary |= {"mobilellm": round(ours, 1), "llama.cpp": round(theirs, 1), "ratio": round(ratio, 2)}
            print(json.dumps(summary | machine()), flush=True)


def machine():
    name = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), name)
    return {"machine": f"{name}, {os.cpu_count()} cores", "llama_cpp_python": importlib.metadata.version("llama-cpp-python")}


def numbers(text):
    return [int(number) for number in text.split(",")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=numbers, default=[1, os.cpu_count()])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prefill", type=numbers, default=[128, 512])
    parser.add_argument("--decode", type=int, default=64)
    parser.add_argument("--context", type=int, default=512)
    parser.add_argument("--gguf", type=Path)
    flags = parser.parse_args()
    prepare(flags.gguf)
    for threads in flags.threads:
        compare(flags, threads)


if __name__ == "__main__":
    main()
