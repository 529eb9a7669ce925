#!/usr/bin/env python3
"""phosphene beside the peer: ratios of medians, the two taken in turn on the same machine.

  compare.py [--build build] [--python python3] [--models ../shared/weights] [--rounds 3] [--steps 148] [--json FILE]

--python names an interpreter that has torch, onnx and numpy. Rows whose network is missing are left out, and said so.
"""
import argparse, json, os, statistics, subprocess, sys

HERE = os.path.dirname(os.path.abspath(__file__))

# Name, network, objective, options of bench-step, options of the peer, environment of the peer.
ROWS = [
    ('step, GoogLeNet 4a:11, 224', 'bvlc_googlenet.onnx', 'inception_4a/output:11', [], [], {}),
    ('the same, AVX2 only on both sides', 'bvlc_googlenet.onnx', 'inception_4a/output:11', ['instruction-set=avx2'], [],
     {'ONEDNN_MAX_CPU_ISA': 'AVX2', 'ATEN_CPU_CAPABILITY': 'avx2'}),
    ('batch 8, per unit', 'bvlc_googlenet.onnx', 'inception_4a/output:11', ['batch=8'], ['--batch', '8'], {}),
    ('step, GoogLeNet 4a:11, 448', 'bvlc_googlenet.onnx', 'inception_4a/output:11', ['size=448'], ['--size', '448'], {}),
    ('step, SqueezeNet fire5/concat:11, 224', 'squeezenet_v1.1.onnx', 'fire5/concat:11', ['size=224'], [], {}),
]


def run(command, environment):
    result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})
    if result.returncode:
        sys.exit(f'{" ".join(command)}: {result.stderr.strip()}')
    return json.loads(result.stdout.strip().splitlines()[-1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--build', default='build')
    parser.add_argument('--python', default='python3')
    parser.add_argument('--models', default=os.path.join(os.environ.get('PHOSPHENE_EXTRAS', '../shared'), 'weights'))
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--steps', type=int, default=148)
    parser.add_argument('--json')
    options = parser.parse_args()
    results = []
    print(f'{"":40} {"phosphene":>10} {"peer":>10}   times faster   objective, ours / peer\'s')
    for name, network, objective, ours, theirs, environment in ROWS:
        path = os.path.join(options.models, network)
        if not os.path.exists(path):
            print(f'{name:40} left out: there is no {path}')
            continue
        pairs = []
        for _ in range(options.rounds):
            a = run([os.path.join(options.build, 'bench/bench-step'), path, objective, str(options.steps)] + ours, {})
            b = run([options.python, os.path.join(HERE, 'peer.py'), path, objective, '--steps', str(options.steps)] + theirs,
                    environment)
            pairs.append((a['milliseconds'] / a['batch'], b['milliseconds'] / b['batch'], a['objective'] / b['objective']))
        ours_ms, theirs_ms, reached = (statistics.median(column) for column in zip(*pairs))
        ratio = statistics.median(b / a for a, b, _ in pairs)
        results.append({'row': name, 'milliseconds': ours_ms, 'peer': theirs_ms, 'ratio': ratio, 'objective': reached})
        print(f'{name:40} {ours_ms:8.2f}ms {theirs_ms:8.2f}ms {ratio:10.2f} {reached:16.2f}', flush=True)
    if options.json:
        with open(options.json, 'w') as file:
            json.dump(results, file, indent=1)


main()
