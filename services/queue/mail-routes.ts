// Where the domains of one mail lead: gathers the answers of the cache and of the resolver until all are there.
import type { QueueContext } from './context.ts';
import type { Custody } from './custody.ts';
import { startMailSpan } from './mail-span.ts';
import type { RouteResult } from './message.machine.ts';

/** Calls `onRouted` once, when all are known: at once where the cache knows them. */
export function routeMail(
  custody: Custody,
  domains: readonly string[],
  context: Pick<QueueContext, 'routes' | 'tracing' | 'now' | 'sameTraceWindowMs'>,
  onRouted: (routes: ReadonlyMap<string, RouteResult>) => void,
): void {
  startMailSpan(custody, context);
  const found = new Map<string, RouteResult>();
  const asker = { trace: custody.spanContext, queueId: custody.message.queueId };
  const answered = (domain: string, result: RouteResult): void => {
    found.set(domain, result);
    if (found.size === domains.length) onRouted(found);
  };
  for (const domain of domains) {
    const known = context.routes.lookUp(domain, asker, answered);
    if (known !== undefined) answered(domain, known);
  }
}
