// The ingress service: speaks SMTP with clients, decides with the resolver who is ours, and answers 250 only when a mail
// is stored durably. Any number of instances may run; they share nothing.
import { runService } from '#libs/lifecycle/run-service.ts';
import { prepareStreams } from '#libs/nats/prepare-streams.ts';
import { Ingress } from './ingress.actor.ts';

await runService({
  name: 'ingress',
  start: async (service) => {
    const { config, link, telemetry } = service;
    const say = (words: string) => telemetry.logger.warn(words);
    const layout = await prepareStreams(link, config.nats, { say, only: /^(SPOOL|STORE)_/ });
    const ingress = new Ingress(service, layout);
    const listeners = await ingress.start();
    process.on('SIGHUP', () => ingress.reloadCertificate());
    return { ready: { listeners }, stop: () => ingress.stop() };
  },
});
