// A container as strict as a cluster's strictest policy: read-only root, no capability, no new privileges, one network. It
// runs as the user that its image names, and finds others by their aliases.
import type { Readable } from 'node:stream';
import { GenericContainer } from 'testcontainers';
import { LABELS } from './engine.ts';

export interface Placement {
  network: string;
  /** Names in the network; those who have the same one take turns. */
  aliases: readonly string[];
}

export interface Mount {
  /** A file or folder of this machine, or a volume. */
  source: string;
  target: string;
  mode: 'ro' | 'rw';
}

export class HardenedContainer extends GenericContainer {
  /** All that it printed. */
  log = '';

  constructor(image: string, { network, aliases }: Placement) {
    super(image);
    this.hostConfig.ReadonlyRootfs = true;
    this.createOpts.NetworkingConfig = { EndpointsConfig: { [network]: { Aliases: [...aliases] } } };
    this.withNetworkMode(network)
      .withDroppedCapabilities('ALL')
      .withSecurityOpt('no-new-privileges')
      .withLabels({ ...LABELS })
      .withLogConsumer((stream: Readable) => {
        stream.on('data', (chunk: Buffer | string) => {
          this.log += chunk.toString();
        });
      });
  }
}
