#!/usr/bin/env python3
"""Writes local/internal/wire/constraints.json: what AWS's API models allow the
members of requests to be, for the operations that the local engine has.

    tools/constraints.py [FOLDER]

FOLDER is botocore's data folder, which has the models; by default it is that of
the botocore that python3 finds. The result lists for each service the shapes by
their Go name, and their members by their name on the wire.
"""
import gzip, json, pathlib, re, sys

root = pathlib.Path(__file__).parent.parent
services = {'codebuild': 'codebuild', 'ecr': 'ecr', 'logs': 'logs', 'secretsmanager': 'secretsmanager', 'ssm': 'ssm',
            'cloudformation': 'cloudformation', 'iam': 'iam', 'sts': 'sts'}
packages = {'iam': 'iamapi'}  # where they are not called after the service

def operations(service):
    """The operations of a service: methods of the SDK's shape."""
    method = re.compile(r'^func \((?:\w+ )?\*?Service\) ([A-Z]\w+)\(\w+ context\.Context, \w+ \*\w+\.\1Input\)', re.M)
    return sorted(name for file in (root / 'local/internal' / packages.get(service, service)).glob('*.go') for name in method.findall(file.read_text()))

def model(folder, service):
    file = sorted((folder / service).glob('*/service-2.json*'))[-1]
    data = file.read_bytes()
    return json.loads(gzip.decompress(data) if file.suffix == '.gz' else data)

def pattern(text):
    """AWS's patterns are Java's; Go writes a character's number otherwise."""
    return re.sub(r'\\u([0-9A-Fa-f]{4})', r'\\x{\1}', text)

def constraint(shapes, name):
    shape, found = shapes[name], {}
    for key in ('min', 'max'):
        if key in shape and not (key == 'min' and shape[key] == 0 and shape['type'] in ('string', 'list', 'map', 'blob')):
            found[key] = shape[key]
    if 'pattern' in shape and pattern(shape['pattern']) not in (r'[\s\S]*', r'[\S\s]*', '.*'):
        found['pattern'] = pattern(shape['pattern'])
    if shape.get('sensitive'):
        found['sensitive'] = True
    if shape['type'] == 'list':
        items = constraint(shapes, shape['member']['shape'])
        if items:
            found['items'] = items
    return {} if set(found) == {'sensitive'} else found

def members(shapes, name, go, result):
    """Adds a structure and those in it to result."""
    shape = shapes[name]
    if shape['type'] == 'list':
        return members(shapes, shape['member']['shape'], shape['member']['shape'], result)
    if shape['type'] == 'map':
        return members(shapes, shape['value']['shape'], shape['value']['shape'], result)
    if shape['type'] != 'structure' or go in result:
        return
    result[go] = {}
    for member, of in shape['members'].items():
        found = constraint(shapes, of['shape'])
        if member in shape.get('required', []):
            found['required'] = True
        if found:
            result[go][member] = found
        members(shapes, of['shape'], of['shape'], result)

def main():
    if len(sys.argv) > 1:
        folder = pathlib.Path(sys.argv[1])
    else:
        import botocore
        folder = pathlib.Path(botocore.__file__).parent / 'data'
    table = {}
    for name, files in services.items():
        api, result = model(folder, files), {}
        for operation in operations(name):
            inputs = api['operations'][operation].get('input')
            if inputs:
                members(api['shapes'], inputs['shape'], operation + 'Input', result)
        table[name] = {shape: found for shape, found in result.items() if found}
    text = json.dumps(table, indent=1, sort_keys=True)
    (root / 'local/internal/wire/constraints.json').write_text(text + '\n')

main()
