#!/usr/bin/env python3
"""The table of representations of Mahendran and Vedaldi (arXiv:1412.0035, table 1) on the pictures there are.

  inversion.py [--build build] [--pictures FOLDER ...] [--representations hog,hogb,dsift] [--steps N] [--json FILE]

Inverts each picture out of each representation and prints the mean and deviation of both errors: relative to the target's
norm, and, as published, to the mean squared distance between the representations of all the pictures. Without --pictures
it takes those of the optional folder of extras, images/ and images/imagenet/.
"""
import argparse, glob, json, math, os, subprocess, sys, tempfile

EXTRAS = os.environ.get('PHOSPHENE_EXTRAS', '../shared')
ENDINGS = ('.png', '.jpg', '.jpeg')


def pictures_of(folders):
    paths = [path for folder in folders for path in sorted(glob.glob(os.path.join(folder, '*')))]
    return [os.path.abspath(path) for path in paths if path.lower().endswith(ENDINGS)]


def invert(options, picture, name, natural, folder):
    command = [os.path.join(options.build, 'src/cli/phosphene'), 'invert', picture, '--representation', name, '--quiet', '--json',
               '--natural', natural, '-o', os.path.join(folder, 'out.png'), '--force']
    command += ['--steps', str(options.steps)] if options.steps else []
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if result.returncode:
        sys.exit(f'{" ".join(command)}: exit code {result.returncode}')
    found = json.loads(result.stdout)[0]
    return found['error_relative_to_target'], found['error_relative_to_natural_distance']


def summary(values):
    mean = sum(values) / len(values)
    return mean, math.sqrt(sum((value - mean) ** 2 for value in values) / max(1, len(values) - 1))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--build', default='build')
    parser.add_argument('--pictures', nargs='+')
    parser.add_argument('--representations', default='hog,hogb,dsift')
    parser.add_argument('--steps', type=int)
    parser.add_argument('--json')
    options = parser.parse_args()
    paths = pictures_of(options.pictures or [os.path.join(EXTRAS, 'images'), os.path.join(EXTRAS, 'images', 'imagenet')])
    if len(paths) < 2:
        sys.exit('there are no two pictures: --pictures names folders of them')
    print(f'{len(paths)} pictures' + (': fewer than the 100 of the paper, so only roughly comparable' if len(paths) < 100 else ''))
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        natural = os.path.join(folder, 'pictures')
        os.mkdir(natural)
        for path in paths:
            os.symlink(path, os.path.join(natural, os.path.basename(path)))
        for name in options.representations.split(','):
            errors = [invert(options, path, name, natural, folder) for path in paths]
            results[name] = dict(zip(map(os.path.basename, paths), errors))
            target, distance = (summary([100 * error[i] for error in errors]) for i in (0, 1))
            print(f'{name:6}  of the target {target[0]:6.2f} +- {target[1]:5.2f} %   '
                  f'of the distance {distance[0]:6.2f} +- {distance[1]:5.2f} %', flush=True)
    if options.json:
        with open(options.json, 'w') as file:
            json.dump(results, file, indent=1)


main()
