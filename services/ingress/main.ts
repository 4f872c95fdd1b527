// The ingress service: speaks SMTP with clients, decides with the resolver who is ours, and answers 250 only when a mail
// is stored durably. Any number of instances may run; they share nothing.
import type { Config } from '#libs/config/schema.ts';
import { runService } from '#libs/lifecycle/run-service.ts';
import type { Layout } from '#libs/nats/layout.ts';
import { provision } from '#libs/nats/provision.ts';
import { Ingress } from './ingress.actor.ts';

function layoutOf(config: Config): Layout {
  const { partitions, spoolStreams, replicas, spoolSizeMax } = config.nats;
  return { partitions, spoolStreams, replicas, spoolSizeMax };
}

await runService({
  name: 'ingress',
  start: async (service) => {
    const layout = layoutOf(service.config);
    await provision(service.link, layout);
    const ingress = new Ingress(service, layout);
    const listeners = await ingress.start();
    process.on('SIGHUP', () => ingress.reloadCertificate());
    return { ready: { listeners }, stop: () => ingress.stop() };
  },
});
