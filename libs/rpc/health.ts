// grpc.health.v1 of a service: what an orchestrator's probes ask. Plaintext, and nothing else at that address. Serves these
// names, which Check, Watch and List answer:
//
//   live     the process and its event loop: it answers, or it does not. Never anything else.
//   started  its start is through.
//   ready    it does its work now. The empty name means the same.
//
// Fails: see listening.ts.
import { HealthImplementation } from 'grpc-health-check';
import { listen } from './listening.ts';

export type Serving = 'SERVING' | 'NOT_SERVING';

export interface HealthServer {
  /** The real port: not the one asked for when that was taken. */
  readonly port: number;
  /** Those who watch hear it when it changes. */
  set(name: 'started' | 'ready', serving: Serving): void;
  /** Ends at once: whoever watches would stay for ever. */
  stop(): void;
}

/** Answers from now on: live is SERVING, started and ready are NOT_SERVING. Port 0 lets the system choose. */
export async function serveHealth(options: { address: string; port: number }): Promise<HealthServer> {
  const said = new Map<string, Serving>([
    ['live', 'SERVING'],
    ['started', 'NOT_SERVING'],
    ['ready', 'NOT_SERVING'],
    ['', 'NOT_SERVING'],
  ]);
  const health = new HealthImplementation(Object.fromEntries(said));
  const { server, port } = await listen({ name: 'health', ...options }, (fresh) => health.addToServer(fresh));
  return {
    port,
    set: (name, serving) => {
      for (const one of name === 'ready' ? ['ready', ''] : [name]) {
        if (said.get(one) === serving) continue;
        said.set(one, serving);
        health.setStatus(one, serving);
      }
    },
    stop: () => server.forceShutdown(),
  };
}
