#!/usr/bin/env python3
"""Builds a git repository and prints the image, by the contract alone.

    pip install boto3
    ./build.py https://github.com/org/repo.git app:1 [STACK]

It needs boto3 and nothing of flexbuild's: docs/contract.md describes what it
sends and what it reads.
"""
import os
import sys
import time
import uuid

import boto3
from botocore.exceptions import ClientError

CONTRACT = '2'
HOSTS = {'github.com': 'GITHUB', 'gitlab.com': 'GITLAB', 'bitbucket.org': 'BITBUCKET'}


def client(service):
    # AWS_ENDPOINT_URL leads to the local engine. boto3 before 1.28 does not read it.
    return boto3.client(service, endpoint_url=os.environ.get('AWS_ENDPOINT_URL'))


def outputs(stack):
    """Returns the outputs of the stack, and refuses another contract."""
    found = client('cloudformation').describe_stacks(StackName=stack)['Stacks'][0]
    values = {o['OutputKey']: o['OutputValue'] for o in found['Outputs']}
    if values['ContractVersion'] != CONTRACT:
        sys.exit(f'stack {stack} has contract {values["ContractVersion"]}; this program knows {CONTRACT}')
    return values


def overrides(repository, tag, request_id):
    """Returns what StartBuild is called with, besides the project."""
    variables = {'TAG': tag, 'REQUEST_ID': request_id}
    source = {'sourceTypeOverride': HOSTS.get(repository.split('/')[2]), 'sourceLocationOverride': repository}
    if source['sourceTypeOverride']:
        source |= {'gitCloneDepthOverride': 1, 'gitSubmodulesConfigOverride': {'fetchSubmodules': True}}
    else:  # CodeBuild does not know the host: the build clones the repository itself
        source = {'sourceTypeOverride': 'NO_SOURCE'}
        variables['GIT_URL'] = repository
    return source | {
        'idempotencyToken': request_id,
        'environmentVariablesOverride': [{'name': n, 'value': v, 'type': 'PLAINTEXT'} for n, v in variables.items()],
    }


def start(codebuild, project, repository, tag):
    """Starts the build, and waits while the queue is full."""
    request = overrides(repository, tag, str(uuid.uuid4()))
    while True:
        try:
            return codebuild.start_build(projectName=project, **request)['build']
        except ClientError as error:
            if error.response['Error']['Code'] != 'AccountLimitExceededException':
                raise
            print('the queue is full', file=sys.stderr)
            time.sleep(10)


def wait(codebuild, build):
    """Polls until the build has ended. boto3 repeats calls that are throttled."""
    while not build['buildComplete']:
        time.sleep(5)
        found = codebuild.batch_get_builds(ids=[build['id']])['builds']
        build = found[0] if found else build  # it is not found for a moment after its start
    return build


def reason(build):
    """Returns the last context that CodeBuild has of a phase."""
    contexts = [c['message'] for phase in build['phases'] for c in phase.get('contexts', []) if c.get('message')]
    return contexts[-1] if contexts else 'no reason is known'


def main(repository, tag, stack='flexbuild'):
    codebuild = client('codebuild')
    build = wait(codebuild, start(codebuild, outputs(stack)['ProjectName'], repository, tag))
    exported = {v['name']: v['value'] for v in build.get('exportedEnvironmentVariables', [])}
    # A build that SUCCEEDED without an image did not run flexbuild's buildspec.
    if build['buildStatus'] != 'SUCCEEDED' or 'IMAGE_URI' not in exported:
        sys.exit(f'build {build["id"]} {build["buildStatus"]}: {reason(build)}')
    print(exported['IMAGE_URI'])


if __name__ == '__main__':
    if not 3 <= len(sys.argv) <= 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
