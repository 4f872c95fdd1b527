// Makes the carrier that a site needs: a connection for SMTP and LMTP, a slot of the gateway for Maildir.
import type { Config } from '#libs/config/schema.ts';
import { Transport } from '#proto/postrider/v1/route.ts';
import type { Carrier, CarrierEvent } from './carrier.ts';
import type { CheckpointDesk } from './checkpoints.actor.ts';
import { Connection } from './client/connection.actor.ts';
import type { MaildirGateway } from './gateways/maildir.ts';
import { MaildirSlot } from './gateways/maildir-slot.actor.ts';
import type { PackCache } from './pack-cache.actor.ts';
import { targetsOf } from './route-order.ts';
import type { SiteActor } from './site.actor.ts';

/** What carriers of all sites share. */
export interface CarrierContext {
  config: { delivery: Pick<Config['delivery'], 'tls' | 'timeoutScale'> };
  hostname: string;
  cache: PackCache;
  checkpoints: CheckpointDesk;
  gateway: MaildirGateway;
  now: () => number;
  /** False when others may have what is ours: no final dot leaves then. */
  mayEnd: () => boolean;
}

/** A carrier for `site` that begins to connect; it tells nothing before it is returned. */
export function openCarrier(
  context: CarrierContext,
  { site, dead }: Pick<SiteActor, 'site' | 'dead'>,
  onEvent: (event: CarrierEvent) => void,
): Carrier {
  const { config, hostname, cache, checkpoints, gateway, now, mayEnd } = context;
  if (site.transport === Transport.MAILDIR) {
    return new MaildirSlot({
      template: site.maildir,
      hostname,
      gateway,
      cache,
      checkpoints,
      now,
      mayEnd,
      onEvent,
    });
  }
  const { tls, timeoutScale } = config.delivery;
  const protocol = site.transport === Transport.LMTP ? 'lmtp' : 'smtp';
  const targets = targetsOf(site, dead, now());
  return new Connection({
    protocol,
    hostname,
    tls,
    targets,
    dead,
    timeoutScale,
    cache,
    checkpoints,
    now,
    mayEnd,
    onEvent,
  });
}
