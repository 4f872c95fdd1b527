// The Docker Engine as these tests use it: everything that they make has a label, by which it is swept away again, whatever
// an earlier run left included. The library's own sweeper is off: it is an image that would have to be pulled.
//
// Fails: no Docker Engine answers -> every call rejects with what the library tried.
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { type ContainerRuntimeClient, getContainerRuntimeClient } from 'testcontainers';

process.env.TESTCONTAINERS_RYUK_DISABLED = 'true';

/** The checkout that they belong to: another one's may run at the same time. */
const OWNER = fileURLToPath(new URL('../..', import.meta.url));
export const LABELS: Readonly<Record<string, string>> = { 'postrider.test': OWNER };
const FILTERS = { label: [`postrider.test=${OWNER}`] };

type Docker = ContainerRuntimeClient['container']['dockerode'];

export async function engine(): Promise<Docker> {
  return (await getContainerRuntimeClient()).container.dockerode;
}

/** Removes every container, network and volume that has our label. */
export async function sweep(): Promise<void> {
  const docker = await engine();
  const containers = await docker.listContainers({ all: true, filters: FILTERS });
  await Promise.all(containers.map(({ Id }) => docker.getContainer(Id).remove({ force: true, v: true })));
  for (const { Id } of await docker.listNetworks({ filters: FILTERS })) await docker.getNetwork(Id).remove();
  const { Volumes } = await docker.listVolumes({ filters: FILTERS });
  for (const { Name } of Volumes ?? []) await docker.getVolume(Name).remove();
}

/** A private network; resolves with its name. */
export async function makeNetwork(): Promise<string> {
  const name = `postrider-test-${randomBytes(4).toString('hex')}`;
  await (await engine()).createNetwork({ Name: name, Driver: 'bridge', Labels: { ...LABELS } });
  return name;
}

/** An empty volume; resolves with its name. */
export async function makeVolume(name: string): Promise<string> {
  await (await engine()).createVolume({ Name: name, Labels: { ...LABELS } });
  return name;
}

/** Port on this machine that leads to `port` of the container now; it is another one after each start. */
export async function publishedPort(id: string, port: number): Promise<number> {
  const { NetworkSettings } = await (await engine()).getContainer(id).inspect();
  const published = NetworkSettings.Ports[`${port}/tcp`]?.[0]?.HostPort;
  if (published === undefined) throw new Error(`port ${port} of ${id} is not published`);
  return Number(published);
}
