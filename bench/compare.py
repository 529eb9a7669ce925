#!/usr/bin/env python3
"""phosphene beside the peer: ratios of medians, the two taken in turn on the same machine, and what needs no peer.

  compare.py [--build build] [--python python3] [--models ../shared/weights] [--networks FOLDER] [--rounds 3] [--steps 148]
             [--only TEXT] [--also NAME[:SIZE],...] [--json FILE]
  compare.py --device [...]     on a GPU: the Vulkan backend beside the peer on CUDA, eager, compiled, and as a CUDA graph

Build first: ninja -C build src/cli/phosphene bench. --python names an interpreter that has torch, onnx and numpy; the peer
runs with its default layout and with channels last, and the faster counts. --networks: what make_networks.py wrote. Rows
whose network is missing are left out, and said so. --also: more networks of torchvision's that are there, each whole, beside
torchvision's own.
"""
import argparse, json, math, os, re, statistics, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
GOOGLENET, SQUEEZENET = 'bvlc_googlenet.onnx', 'squeezenet_v1.1.onnx'
AVX2 = {'ONEDNN_MAX_CPU_ISA': 'AVX2', 'ATEN_CPU_CAPABILITY': 'avx2'}
# A network alone: the peer does forward and input gradient of a still picture; phosphene a whole step without transforms.
LEVELS = ['portable', 'avx2', 'avx512']
ALONE, PEER_ALONE = ['transforms=none', 'parameterisation=pixel', 'redirect-steps=0'], ['--network-only']

STEP, LARGE_STEP = 'step, GoogLeNet 4a:11, 224', 'step, GoogLeNet 4a:11, 448'
# Name, network, objective, options of bench-step, options of the peer, environment of the peer.
ROWS = [
    (STEP, GOOGLENET, 'inception_4a/output:11', [], [], {}),
    ('the same, AVX2 only on both sides', GOOGLENET, 'inception_4a/output:11', ['instruction-set=avx2'], [], AVX2),
    ('the same, bf16x3', GOOGLENET, 'inception_4a/output:11', ['precision=bf16x3'], [], {}),
    ('the same, bf16 on both sides', GOOGLENET, 'inception_4a/output:11', ['precision=bf16'], ['--bf16'], {}),
    ('batch 8, per unit', GOOGLENET, 'inception_4a/output:11', ['batch=8'], ['--batch', '8'], {}),
    (LARGE_STEP, GOOGLENET, 'inception_4a/output:11', ['size=448'], ['--size', '448'], {}),
    ('step, SqueezeNet fire5/concat:11, 224', SQUEEZENET, 'fire5/concat:11', ['size=224'], [], {}),
    ('whole GoogLeNet', GOOGLENET, 'loss3/classifier:3', ALONE, PEER_ALONE, {}),
    ('whole SqueezeNet', SQUEEZENET, 'pool10:3', ALONE, PEER_ALONE, {}),
    ('whole VGG-16', 'vgg16.onnx', 'logits:3', ALONE, PEER_ALONE + ['--input', 'torch'], {}),
    ('whole ResNet-50', 'resnet50.onnx', 'logits:3', ALONE, PEER_ALONE + ['--input', 'torch'], {}),
    ('whole MobileNetV2', 'mobilenet_v2.onnx', 'logits:3', ALONE, PEER_ALONE + ['--input', 'torch'], {}),
    ('whole DenseNet-121', 'densenet121.onnx', 'logits:3', ALONE, PEER_ALONE + ['--input', 'torch'], {}),
]


def run(command, environment={}):
    result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})
    if result.returncode:
        sys.exit(f'{" ".join(command)}: {result.stderr.strip()}')
    return result.stdout


def last_json(text):
    return json.loads(text.strip().splitlines()[-1])


# On a GPU: name, objective, options of bench-step, options of the peer; each with every batch and every form of the peer.
DEVICE_ROWS = [('step of `inception_4a/output:11`', 'inception_4a/output:11', [], []),
               ('whole GoogLeNet', 'loss3/classifier:3', ALONE, PEER_ALONE)]
BATCHES = [1, 8, 32]
FORMS = {'eager': [], 'compiled': ['--compile'], 'CUDA graph': ['--graph']}


def attempt(command):
    """The line of JSON that a program ends with, or, where it fails, the last line of what it says."""
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        return None, (result.stderr.strip().splitlines() or ['it failed'])[-1]
    return last_json(result.stdout), None


def devices(options):
    """GPUs as `phosphene list devices` has them, without those that are a processor."""
    lines = run([os.path.join(options.build, 'src/cli/phosphene'), 'list', 'devices']).splitlines()
    return [line.strip() for line in lines if 'GPU' in line]


def compare_devices(options, find):
    """One line of the table in docs/SPEED.md for each row and batch: milliseconds of a step of the whole batch."""
    path = find(GOOGLENET)
    if not path or not devices(options):
        sys.exit(f'compare.py: {"there is no GPU: phosphene list devices" if path else "there is no " + GOOGLENET}')
    print('\n'.join(devices(options)))
    print('| | phosphene | PyTorch ' + ' | '.join(FORMS) + ' | start to first step |')
    print('| --- | --- |' + ' --- |' * (len(FORMS) + 1))
    results, failures = [], []
    for name, objective, ours, theirs in DEVICE_ROWS:
        for batch in BATCHES:
            row = {'row': name, 'batch': batch}
            arguments = [path, objective]
            step = [os.path.join(options.build, 'bench/bench-step'), *arguments, str(options.steps), 'backend=vulkan',
                    f'batch={batch}', *ours]
            peer = [options.python, os.path.join(HERE, 'peer.py'), *arguments, '--steps', str(options.steps), '--device', 'cuda',
                    '--batch', str(batch), *theirs]
            columns = {'phosphene': step, **{form: peer + flags for form, flags in FORMS.items()}}
            rounds = {column: [] for column in columns}
            for _ in range(options.rounds):  # in turn
                for column, command in columns.items():
                    result, failure = attempt(command)
                    rounds[column] += [result] if result else []
                    failures += [f'{name}, batch {batch}, {column}: {failure}'] if failure else []
            for column, taken in rounds.items():
                row[column] = statistics.median(r['milliseconds'] for r in taken) if taken else None
            started = [r['first_step_seconds'] for r in rounds['phosphene']]
            row['first_step_seconds'] = statistics.median(started) if started else None
            cells = [f'{row[c]:.3f} ms' if row[c] else 'not measured' for c in columns]
            cells.append(f'{row["first_step_seconds"]:.2f} s' if started else 'not measured')
            print(f'| {name}, batch {batch} | ' + ' | '.join(cells) + ' |', flush=True)
            results.append(row)
        text = plan(options, ['-m', path, '--plan', objective, '--backend', 'vulkan'])
        print(f'{name}: {text.splitlines()[-1]}', flush=True)
    print(*dict.fromkeys(failures), sep='\n')
    return {'devices': devices(options), 'rows': results, 'failures': failures}


def has_tiles(options):
    sets = run([os.path.join(options.build, 'src/cli/phosphene'), 'list', 'instruction-sets'])
    return re.search(r'^amx .* has it', sets, re.MULTILINE) is not None


def also(wanted):
    """A row for each of NAME[:SIZE],..."""
    for name, size in ((name, size or '224') for name, _, size in (each.partition(':') for each in wanted.split(',') if each)):
        yield (f'whole {name}', name + '.onnx', 'logits:3', ALONE + [f'size={size}'],
               PEER_ALONE + ['--input', 'torch', '--size', size, '--torchvision', name], {})


def quotient(a, b):
    """nan of zeros: torchvision's ViT with random weights has none in its last layer."""
    return a / b if b else math.nan


def compare(options, find):
    results = []
    print(f'{"":40} {"phosphene":>10} {"peer":>10}   times faster   objective, ours / peer\'s')
    for name, network, objective, ours, theirs, environment in [*ROWS, *also(options.also)]:
        path = find(network)
        if options.only not in name:
            continue
        if not path:
            print(f'{name:40} left out: there is no {network}')
            continue
        if any(option.startswith('precision=bf16') for option in ours) and not has_tiles(options):
            print(f'{name:40} left out: the processor has no amx')
            continue
        step = [os.path.join(options.build, 'bench/bench-step'), path, objective, str(options.steps)] + ours
        peer = [options.python, os.path.join(HERE, 'peer.py'), path, objective, '--steps', str(options.steps)] + theirs
        layouts, rounds = ([], ['--channels-last']), []
        for _ in range(options.rounds):
            mine = last_json(run(step))
            their = [last_json(run(peer + layout, environment)) for layout in layouts]
            best = min(range(len(their)), key=lambda i: their[i]['milliseconds'])
            layouts = (layouts[best],)  # the first round chooses
            rounds.append((mine['milliseconds'] / mine['batch'], their[best]['milliseconds'] / their[best]['batch'],
                           quotient(mine['objective'], their[best]['objective']), mine['first_step_seconds']))
        ours_ms, theirs_ms, reached, first = (statistics.median(column) for column in zip(*rounds))
        ratio = statistics.median(b / a for a, b, *_ in rounds)
        results.append({'row': name, 'milliseconds': ours_ms, 'peer': theirs_ms, 'ratio': ratio,
                        'objective': None if math.isnan(reached) else reached,
                        'peer_layout': ' '.join(layouts[0]) or 'default', 'first_step_seconds': first})
        compared = '' if theirs[:1] == PEER_ALONE else f'{reached:16.2f}'
        print(f'{name:40} {ours_ms:8.2f}ms {theirs_ms:8.2f}ms {ratio:10.2f} {compared}', flush=True)
        if name == STEP:
            print(f'{"    start to first step":40} {first:8.2f}s')
    cost = {row['row']: row['milliseconds'] for row in results}
    if STEP in cost and LARGE_STEP in cost:
        print(f'{"    cost from 224 to 448 pixels":40} {cost[LARGE_STEP] / cost[STEP]:8.2f} times')
    return results


def beside_neighbours(options, path):
    """How many times as long a step takes while others compute without a pause: one process, and one for each processor.
    By the mean: what a scheduler takes, it takes from few steps at a time."""
    step = [os.path.join(options.build, 'bench/bench-step'), path, 'inception_4a/output:11', str(options.steps)]
    results = []
    for neighbours in sorted({1, len(os.sched_getaffinity(0))}):
        alone, beside = [], []
        for _ in range(options.rounds):  # in turn
            alone.append(last_json(run(step))['mean'])
            busy = [subprocess.Popen([sys.executable, '-c', 'while True: pass']) for _ in range(neighbours)]
            try:
                beside.append(last_json(run(step))['mean'])
            finally:
                for process in busy:
                    process.kill()
                    process.wait()
        ratio = statistics.median(b / a for a, b in zip(alone, beside))
        results.append({'neighbours': neighbours, 'alone': statistics.median(alone), 'beside': statistics.median(beside),
                        'ratio': ratio})
        print(f'{"step beside busy neighbours: " + str(neighbours):40} {statistics.median(beside):8.2f}ms, alone '
              f'{statistics.median(alone):.2f}ms: {ratio:.2f} times as long', flush=True)
    return results


def plan(options, arguments):
    return run([os.path.join(options.build, 'src/cli/phosphene'), 'inspect', '-q', '--time'] + arguments)


def peak_of(text):
    """GFLOP/s of multiply-adds on all cores, as the last line of a plan says."""
    return float(re.search(r'of ([0-9.]+) at peak', text).group(1))


def convolutions(options, path, objective):
    """Share of the peak of multiply-adds, weighted by arithmetic, for each kernel and direction."""
    text = plan(options, ['-m', path, '--plan', objective])
    peak = peak_of(text)
    sums = {}
    for line in text.splitlines():
        match = re.match(r'(forward|backward) +convolution(?:\+add)? +(\S+) .*\] +([0-9.]+) +\d+ +\d+ +([0-9.]+)'
                         r' +[0-9.]+ +[0-9.]+$', line)
        if match:
            direction, kernel, gflop, milliseconds = match.groups()
            total = sums.setdefault(f'{kernel}, {direction}', [0, 0])
            total[0] += float(gflop)
            total[1] += float(milliseconds)
    return {key: {'milliseconds': ms, 'share_of_peak': 1e3 * gflop / ms / peak} for key, (gflop, ms) in sorted(sums.items())}


def peak_memory(options, path):
    """Largest resident set of a render, in MB of 10^6 bytes."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen([os.path.join(options.build, 'src/cli/phosphene'), 'render', '-q', '-m', path,
                                    'inception_4a/output:11', '--steps', '4', '-o', os.path.join(folder, 'picture.png')])
        return os.wait4(process.pid, 0)[2].ru_maxrss * 1024 / 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--build', default='build')
    parser.add_argument('--python', default='python3')
    parser.add_argument('--models', default=os.path.join(os.environ.get('PHOSPHENE_EXTRAS', '../shared'), 'weights'))
    parser.add_argument('--networks', default='')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--steps', type=int, default=148)
    parser.add_argument('--only', default='', help='rows whose name holds this')
    parser.add_argument('--also', default='', help="more of torchvision's networks, NAME[:SIZE],...")
    parser.add_argument('--device', action='store_true', help='the rows of a GPU')
    parser.add_argument('--json')
    options = parser.parse_args()

    def find(network):
        return next((path for folder in (options.models, options.networks)
                     if folder and os.path.exists(path := os.path.join(folder, network))), None)

    if options.device:
        results = compare_devices(options, find)
        if options.json:
            with open(options.json, 'w') as file:
                json.dump(results, file, indent=1)
        return
    peaks = {level: peak_of(plan(options, ['--plan', 'conv1:5', '--instruction-set', level])) for level in LEVELS}
    print('peak of multiply-adds, GFLOP/s of all cores:', peaks)
    results = {'peaks': peaks, 'rows': compare(options, find), 'convolutions': {}}
    for _, network, objective, *_ in (row for row in ROWS if row[0].startswith('whole') and options.only in row[0]):
        if find(network):
            shares = results['convolutions'][network] = convolutions(options, find(network), objective)
            print(network)
            for key, value in shares.items():
                print(f'    {key:34} {value["milliseconds"]:8.2f}ms {100 * value["share_of_peak"]:6.0f} % of peak')
    if find(GOOGLENET) and options.only in 'step beside busy neighbours':
        results['neighbours'] = beside_neighbours(options, find(GOOGLENET))
    if find(GOOGLENET) and not options.only:
        results['peak_memory_mb'] = peak_memory(options, find(GOOGLENET))
        print(f'peak memory of a GoogLeNet render: {results["peak_memory_mb"]:.0f} MB')
    if options.json:
        with open(options.json, 'w') as file:
            json.dump(results, file, indent=1)


main()
