// When a container counts as started, where its log does not say so.
import { type ContainerRuntimeClient, StartupCheckStrategy, type StartupStatus } from 'testcontainers';

type Docker = ContainerRuntimeClient['container']['dockerode'];

async function statusOf(docker: Docker, id: string): Promise<string> {
  return (await docker.getContainer(id).inspect()).State.Status;
}

/** When its program runs. */
export class Running extends StartupCheckStrategy {
  override async checkStartupState(docker: Docker, id: string): Promise<StartupStatus> {
    const status = await statusOf(docker, id);
    if (status === 'running') return 'SUCCESS';
    return status === 'created' ? 'PENDING' : 'FAIL';
  }
}

/** When its program has ended, with whatever exit code. */
export class Ended extends StartupCheckStrategy {
  override async checkStartupState(docker: Docker, id: string): Promise<StartupStatus> {
    return (await statusOf(docker, id)) === 'exited' ? 'SUCCESS' : 'PENDING';
  }
}
