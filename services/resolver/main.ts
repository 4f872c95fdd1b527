// The resolver service: knows where mail for a domain goes, and which recipients are ours.
import { runService } from '#libs/lifecycle/run-service.ts';
import { Resolver } from './resolver.actor.ts';

await runService({
  name: 'resolver',
  start: async ({ config, telemetry, link }) => {
    const resolver = new Resolver({ config, telemetry, link });
    resolver.start();
    return { ready: { dnsServers: resolver.servers }, stop: () => resolver.stop() };
  },
});
