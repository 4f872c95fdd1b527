// The listeners of a configuration, each with what is allowed there.
import type { Socket } from 'node:net';
import type { Config } from '#libs/config/schema.ts';
import { type ServerPolicy, serverPolicy } from '#libs/smtp/server.machine.ts';
import type { BalancedPeers } from './balanced-peers.actor.ts';
import { Networks } from './client-address.ts';
import { Listener, type ListenerConfig } from './listener.actor.ts';
import type { SessionOrigin } from './session.actor.ts';

export interface ListenersOptions {
  config: Config;
  /** Our name in greetings. */
  hostname: string;
  /** For listeners with a PROXY header. */
  balancedPeers: BalancedPeers;
  onClient: (socket: Socket, origin: SessionOrigin) => void;
  onTrouble: (reason: string) => void;
}

/** In the order of the configuration; none of them listens yet. */
export function makeListeners(options: ListenersOptions): Listener[] {
  const relayNetworks = new Networks(options.config.relayNetworks);
  return options.config.listeners.map((config) => makeListener(config, relayNetworks, options));
}

function makeListener(config: ListenerConfig, relayNetworks: Networks, options: ListenersOptions): Listener {
  const { balancedPeers, onClient, onTrouble } = options;
  const tls = config.tls === 'starttls' && options.config.tls === undefined ? 'none' : config.tls;
  const { proxyProtocol } = config;
  return new Listener({
    config,
    tls,
    policies: {
      relay: makePolicy(options, tls, 'allowed'),
      noRelay: makePolicy(options, tls, 'denied'),
    },
    relayNetworks,
    proxy: proxyProtocol && {
      peers: balancedPeers,
      rules: {
        trusted: new Networks(proxyProtocol.trusted),
        headerWaitMaxMs: proxyProtocol.headerWaitMax,
      },
    },
    onClient,
    onTrouble,
  });
}

function makePolicy(
  { config, hostname }: ListenersOptions,
  tls: SessionOrigin['tls'],
  relay: ServerPolicy['relay'],
): ServerPolicy {
  const { messageSizeMax, recipientsMax, badCommandsMax, receivedFieldsMax } = config.limits;
  return serverPolicy({
    hostname,
    postmasterDomain: config.localDomains[0]?.name ?? hostname,
    messageSizeMax,
    recipientsMax,
    badCommandsMax,
    receivedFieldsMax,
    starttls: tls === 'starttls' ? 'offered' : 'absent',
    relay,
  });
}
