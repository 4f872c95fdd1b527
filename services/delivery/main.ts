// The delivery service: carries mail to its sites. Everything is constructed from here.
import { runService } from '#libs/lifecycle/run-service.ts';
import { awaitStreams } from '#libs/nats/prepare-streams.ts';
import { Delivery } from './delivery.actor.ts';

await runService({
  name: 'delivery',
  start: async ({ config, telemetry, link }) => {
    const say = (words: string) => telemetry.logger.warn(words);
    // Queue and ingress make streams: fewer who do it at once find room for the same one more surely.
    await awaitStreams(link, config.nats, { say, only: /^CHECKPOINTS$/ });
    const delivery = new Delivery({ config, telemetry, link });
    await delivery.start();
    return { ready: { shards: delivery.shards }, stop: () => delivery.stop() };
  },
});
