// The delivery service: carries mail to its sites. Everything is constructed from here.
import { runService } from '#libs/lifecycle/run-service.ts';
import { Delivery } from './delivery.actor.ts';

await runService({
  name: 'delivery',
  start: async ({ config, telemetry, link }) => {
    const delivery = new Delivery({ config, telemetry, link });
    await delivery.start();
    return { ready: { shards: delivery.shards }, stop: () => delivery.stop() };
  },
});
