#!/usr/bin/env python3
"""The pictures and the table of docs/presets.md: one unit of GoogLeNet by every preset, at equal size and steps.

  presets.py [--build build] [--only lucid,maco] [--steps 256] [--output docs/pictures/presets]

Writes one JPEG for each preset and prints the table's rows: the objective on the plain picture, and the command. Those that
exist are not made again, and have no row. Needs Pillow.
"""
import argparse, json, os, subprocess, sys, tempfile
from PIL import Image

EXTRAS = os.environ.get('PHOSPHENE_EXTRAS', '../shared')
UNIT = 'inception_4a/output:11'
# What some presets need besides. Fewer crops a step than their own 32 and 16 keep the whole to minutes.
BESIDES = {'maco': ['--views', '4'], 'accentuation': ['--views', '4', '--init', 'chelsea.png']}


def render(options, preset, folder):
    """The picture's path and the objective reached."""
    path = os.path.join(folder, preset + '.png')
    command = [os.path.abspath(os.path.join(options.build, 'src/cli/phosphene')), 'render', '--json', '--quiet',
               '-m', os.path.abspath(os.path.join(EXTRAS, 'weights/bvlc_googlenet.onnx')), UNIT, '--preset', preset,
               '--size', '224', '--steps', str(options.steps), '-o', path]
    command += BESIDES.get(preset, [])
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=os.path.join(EXTRAS, 'images'))
    if result.returncode:
        sys.exit(f'{" ".join(command)}: exit code {result.returncode}')
    return path, json.loads(result.stdout)['pictures'][0]['value']


def row(options, preset, value):
    words = ' '.join(['--preset', preset] + BESIDES.get(preset, []))
    return f'| ![{preset}](pictures/presets/{preset}.jpg) | `{words}` | {value:.4g} |'


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--build', default='build')
    parser.add_argument('--only')
    parser.add_argument('--steps', type=int, default=256)
    parser.add_argument('--output', default='docs/pictures/presets')
    options = parser.parse_args()
    listing = json.loads(subprocess.run([os.path.join(options.build, 'src/cli/phosphene'), 'list', 'presets', '--json'],
                                        stdout=subprocess.PIPE, text=True, check=True).stdout)
    presets = options.only.split(',') if options.only else [entry['name'] for entry in listing['presets']]
    os.makedirs(options.output, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for preset in presets:
            target = os.path.join(options.output, preset + '.jpg')
            if os.path.exists(target):
                continue
            path, value = render(options, preset, folder)
            Image.open(path).convert('RGB').save(target, quality=85, optimize=True)
            print(row(options, preset, value), flush=True)


main()
