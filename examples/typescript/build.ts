// Builds a git repository and prints the image, by the contract alone:
//
//	npm install && npm run build
//	node dist/build.js https://github.com/org/repo.git app:1 [STACK]
//
// It needs the AWS SDK and nothing of flexbuild's: docs/contract.md describes
// what it sends and what it reads.
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

import { CloudFormation } from '@aws-sdk/client-cloudformation';
import {
  AccountLimitExceededException,
  CodeBuild,
  type Build,
  type SourceType,
  type StartBuildInput,
} from '@aws-sdk/client-codebuild';

const contract = '2';
const hosts: Record<string, SourceType> = { 'github.com': 'GITHUB', 'gitlab.com': 'GITLAB', 'bitbucket.org': 'BITBUCKET' };
const codebuild = new CodeBuild({ maxAttempts: 10 }); // the SDK repeats calls that are throttled

/** Returns the project of a stack, and refuses a stack with another contract. */
async function project(stack: string): Promise<string | undefined> {
  const { Stacks } = await new CloudFormation().describeStacks({ StackName: stack });
  const outputs = new Map(Stacks?.[0]?.Outputs?.map((o) => [o.OutputKey, o.OutputValue]));
  const version = outputs.get('ContractVersion');
  if (version !== contract) throw new Error(`stack ${stack} has contract ${version}; this program knows ${contract}`);
  return outputs.get('ProjectName');
}

/** Returns what StartBuild is called with, besides the project. */
function overrides(repository: string, tag: string, requestId: string): Partial<StartBuildInput> {
  const variables: Record<string, string> = { TAG: tag, REQUEST_ID: requestId };
  const type = hosts[new URL(repository).hostname];
  // CodeBuild does not know every host. The build clones other repositories itself.
  if (!type) variables.GIT_URL = repository;
  const source: Partial<StartBuildInput> = type
    ? {
        sourceTypeOverride: type,
        sourceLocationOverride: repository,
        gitCloneDepthOverride: 1,
        gitSubmodulesConfigOverride: { fetchSubmodules: true },
      }
    : { sourceTypeOverride: 'NO_SOURCE' };
  return {
    ...source,
    idempotencyToken: requestId,
    environmentVariablesOverride: Object.entries(variables).map(([name, value]) => ({ name, value, type: 'PLAINTEXT' })),
  };
}

/** Starts the build, and waits while the queue is full. */
async function start(input: StartBuildInput): Promise<Build> {
  for (;;) {
    try {
      return (await codebuild.startBuild(input)).build!;
    } catch (error) {
      if (!(error instanceof AccountLimitExceededException)) throw error;
      console.error('the queue is full');
      await sleep(10_000);
    }
  }
}

/** Polls until the build has ended. It is not found for a moment after its start. */
async function wait(build: Build): Promise<Build> {
  while (!build.buildComplete) {
    await sleep(5_000);
    const { builds } = await codebuild.batchGetBuilds({ ids: [build.id!] });
    build = builds?.[0] ?? build;
  }
  return build;
}

/** Returns the last context that CodeBuild has of a phase. */
function reason(build: Build): string {
  const messages = build.phases?.flatMap((phase) => phase.contexts ?? []).flatMap((context) => context.message || []);
  return messages?.at(-1) ?? 'no reason is known';
}

async function main(repository?: string, tag?: string, stack = 'flexbuild'): Promise<void> {
  if (!repository || !tag) throw new Error('usage: build.js REPOSITORY NAME:TAG [STACK]');
  const input = { projectName: await project(stack), ...overrides(repository, tag, randomUUID()) };
  const build = await wait(await start(input));
  const image = build.exportedEnvironmentVariables?.find((variable) => variable.name === 'IMAGE_URI')?.value;
  // A build that SUCCEEDED without an image did not run flexbuild's buildspec.
  if (build.buildStatus !== 'SUCCEEDED' || !image) {
    throw new Error(`build ${build.id} ${build.buildStatus}: ${reason(build)}`);
  }
  console.log(image);
}

main(...process.argv.slice(2)).catch((error: Error) => {
  console.error(error.message);
  process.exitCode = 1;
});
