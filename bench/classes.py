#!/usr/bin/env python3
"""Are pictures of classes recognised by a network that had no part in making them?

  classes.py [--build build] [--methods lucid,maco,default] [--steps N] [--output folder] [--classes 1,281,...] [--seed 0]

Renders 20 classes of GoogLeNet, those of the photographs in images/imagenet, by each method, a preset or the program's
default, and asks SqueezeNet 1.1 what they show: how many are its first guess, how many among its first five, and the place
of each class. --steps makes all methods equally long; without it each takes its own. Pictures that exist are not made again.
Times do not matter here, so it may run beside other work.
"""
import argparse, glob, json, os, subprocess, sys

EXTRAS = os.environ.get('PHOSPHENE_EXTRAS', '../shared')


def labels(folder):
    """Number and first name of each WordNet number."""
    with open(os.path.join(folder, 'weights', 'imagenet_synset_words.txt')) as file:
        lines = [line.strip().split(' ', 1) for line in file]
    return {number: (index, names.split(',')[0]) for index, (number, names) in enumerate(lines)}


def run(command):
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if result.returncode:
        sys.exit(f'{" ".join(command)}: exit code {result.returncode}')
    return result.stdout


def render(options, method, classes, folder):
    """One picture for each class."""
    command = [options.program, 'render', '--quiet', '-m', options.maker, '--seed', str(options.seed)]
    command += [] if method == 'default' else ['--preset', method]
    command += ['--steps', str(options.steps)] if options.steps else []
    for index in classes:
        picture = os.path.join(folder, f'class-{index}.png')
        if not os.path.exists(picture):
            run(command + [f'class:{index}', '-o', picture])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--build', default='build')
    parser.add_argument('--methods', default='lucid,maco,default')
    parser.add_argument('--steps', type=int)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--output', default='out/classes')
    parser.add_argument('--classes', help='numbers of classes instead of the 20')
    options = parser.parse_args()
    options.program = os.path.join(options.build, 'src/cli/phosphene')
    options.maker = os.path.join(EXTRAS, 'weights', 'bvlc_googlenet.onnx')
    judge = os.path.join(EXTRAS, 'weights', 'squeezenet_v1.1.onnx')
    if not os.path.exists(options.maker) or not os.path.exists(judge):
        sys.exit(f'there is no {options.maker} or {judge}: PHOSPHENE_EXTRAS names the folder that holds weights/')
    known = labels(EXTRAS)
    photographs = sorted(glob.glob(os.path.join(EXTRAS, 'images', 'imagenet', '*')))
    classes = dict(known[os.path.basename(path).split('_')[0]] for path in photographs)
    if options.classes:
        names = dict(known.values())
        classes = {int(index): names[int(index)] for index in options.classes.split(',')}
    for method in options.methods.split(','):
        folder = os.path.join(options.output, method)
        render(options, method, classes, folder)
        places = {}
        for index in classes:
            picture = os.path.join(folder, f'class-{index}.png')
            scores = json.loads(run([options.program, 'classify', '--json', '--quiet', '-m', judge, '-k', '1000', picture]))
            ranking = [score['index'] for score in scores['pictures'][0]['classes']]
            places[index] = ranking.index(index) + 1
        first, five = sum(place == 1 for place in places.values()), sum(place <= 5 for place in places.values())
        print(f'{method}: first {first}, among the first five {five}, of {len(classes)}')
        for index, place in sorted(places.items(), key=lambda entry: entry[1]):
            print(f'    {place:4}  {index:3} {classes[index]}')
        sys.stdout.flush()


main()
