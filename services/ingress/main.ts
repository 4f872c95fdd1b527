// The ingress service: speaks SMTP with clients, decides with the resolver who is ours, and answers 250 only when a mail
// is stored durably. Any number of instances may run; they share nothing.
import { runService } from '#libs/lifecycle/run-service.ts';
import { DirectGet } from '#libs/nats/direct-get.ts';
import { prepareStreams } from '#libs/nats/prepare-streams.ts';
import { steadyClock } from '#libs/shell/steady-clock.ts';
import { AlwaysTraced } from './always-traced.ts';
import { anyOf, ForcedByRule } from './forced-rules.ts';
import { Ingress } from './ingress.actor.ts';
import { FollowedRules } from './trace-rules.actor.ts';

await runService({
  name: 'ingress',
  start: async (service) => {
    const { config, link, telemetry } = service;
    const say = (words: string) => telemetry.logger.warn(words);
    const layout = await prepareStreams(link, config.nats, { say, only: /^(SPOOL|STORE)_/ });
    const rules = new ForcedByRule(steadyClock());
    const followed = new FollowedRules({
      link,
      direct: new DirectGet(link),
      rules,
      onTrouble: say,
      onChange: (count) => telemetry.logger.info({ rules: count }, 'rules about traces heard'),
    });
    await followed.start();
    const forcedTraces = anyOf([new AlwaysTraced(config.telemetry.alwaysSample), rules]);
    const ingress = new Ingress(service, layout, { forcedTraces });
    const listeners = await ingress.start();
    process.on('SIGHUP', () => ingress.reloadCertificate());
    const stop = async () => {
      await ingress.stop();
      await followed.stop();
    };
    return { ready: { listeners }, stop };
  },
});
