// What the configuration says about NATS, as options of a link.
import type { DialOptions } from './dial.ts';

/** `settings` are the configuration's; NATS_URL in `env` comes before nats.url. */
export function linkOptions(
  settings: DialOptions,
  env: Readonly<Record<string, string | undefined>>,
): DialOptions {
  const { url, credentials, tls } = settings;
  return { url: env.NATS_URL || url, credentials, tls };
}
