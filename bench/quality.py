#!/usr/bin/env python3
"""The objective reached on the plain final picture beside the peer's, at equal steps and size.

  quality.py [--build build] [--python python3] [--peer bench/peer.py] [--steps 512] [--seeds 3] [--units LAYER:CHANNEL,...]

12 units of GoogLeNet spread over its depth, preset lucid with its transforms. For each unit the median over the seeds of
either side; below, the median and the least of the units' ratios. Times do not matter here, so it may run beside other work.
--python names an interpreter that has torch, onnx and numpy.
"""
import argparse, os, re, statistics, subprocess, sys

HERE = os.path.dirname(os.path.abspath(__file__))
UNITS = ['conv2/relu_3x3:20', 'inception_3a/output:70', 'inception_3b/output:200', 'inception_4a/output:11',
         'inception_4a/relu_5x5:7', 'inception_4b/output:300', 'inception_4c/output:5', 'inception_4d/relu_3x3:100',
         'inception_4d/output:450', 'inception_4e/output:64', 'inception_5a/output:500', 'inception_5b/output:17']


def objective(command):
    result = subprocess.run(command, capture_output=True, text=True)
    found = re.search(r'objective"?:? (-?[0-9.e+-]+)', result.stdout)
    if result.returncode or not found:
        sys.exit(f'{" ".join(command)}: {result.stderr.strip()}')
    return float(found.group(1))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--build', default='build')
    parser.add_argument('--python', default='python3')
    parser.add_argument('--peer', default=os.path.join(HERE, 'peer.py'))
    parser.add_argument('--models', default=os.path.join(os.environ.get('PHOSPHENE_EXTRAS', '../shared'), 'weights'))
    parser.add_argument('--steps', type=int, default=512)
    parser.add_argument('--seeds', type=int, default=3)
    parser.add_argument('--units', default=','.join(UNITS))
    options = parser.parse_args()
    model, steps = os.path.join(options.models, 'bvlc_googlenet.onnx'), str(options.steps)
    if not os.path.exists(model):
        sys.exit(f'there is no {model}: PHOSPHENE_EXTRAS names the folder that holds weights/')
    ratios = []
    print(f'{"unit":28} {"phosphene":>10} {"peer":>10} {"ratio":>7}')
    for unit in options.units.split(','):
        ours = [objective([os.path.join(options.build, 'bench/bench-step'), model, unit, steps, f'seed={seed}'])
                for seed in range(options.seeds)]
        theirs = [objective([options.python, options.peer, model, unit, '--steps', steps, '--seed', str(seed)])
                  for seed in range(options.seeds)]
        ratios.append(statistics.median(ours) / statistics.median(theirs))
        print(f'{unit:28} {statistics.median(ours):10.2f} {statistics.median(theirs):10.2f} {ratios[-1]:7.3f}', flush=True)
    print(f'{len(ratios)} units, {options.seeds} seeds, {steps} steps: median {statistics.median(ratios):.3f}, '
          f'least {min(ratios):.3f}')


main()
