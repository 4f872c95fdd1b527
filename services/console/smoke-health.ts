// Asks grpc.health.v1 of every instance behind a name: all addresses that DNS gives, one by one.
// Fails: SmokeFailure with one line that names the instance and what it said.
import { lookup } from 'node:dns/promises';
import { connectHealth, HealthError } from '#libs/rpc/health-client.ts';
import { endpointText } from '#libs/rpc/listening.ts';
import { SmokeFailure } from './smoke-client.ts';

/** How many instances of `host:port` there are; every one of them is ready. */
export async function instancesServing(host: string, port: number): Promise<number> {
  const found = await lookup(host, { all: true }).catch((error: Error) => {
    throw new SmokeFailure(`no address for ${host}: ${error.message}`);
  });
  await Promise.all(found.map(({ address }) => serving(address, port)));
  return found.length;
}

async function serving(address: string, port: number): Promise<void> {
  const place = endpointText(address, port);
  const client = connectHealth(place);
  try {
    const status = await client.check('ready');
    if (status !== 'SERVING') throw new SmokeFailure(`${place} says ${status}`);
  } catch (error) {
    throw error instanceof HealthError ? new SmokeFailure(error.message) : error;
  } finally {
    client.close();
  }
}
