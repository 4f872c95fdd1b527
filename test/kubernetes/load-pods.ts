// The mail system and the sender that the check runs in the cluster: pods of our own image, with programs of the test kit from
// a ConfigMap, restricted as everything in the namespace has to be.
import { podPrograms } from '#kit/pod-programs.ts';
import { askingCommand, type PodAnswers, type Question } from '#kit/pod-questions.ts';
import type { Kubectl } from './commands.ts';

/** Sites: one port of the mail system each. */
export const SITES = 8;
export const FIRST_PORT = 2601;
export const SINK = 'check-sink';
export const SENDER = 'check-sender';
/** The domains of its sites are below it. */
export const DOMAIN = 'check.postrider.invalid';
export const TOKEN_PREFIX = 'k';
const PROGRAMS = 'check-programs';
/** What the mail system waits before it answers the final dot, so that a worker can be killed there. */
const ANSWER_AFTER_MS = 15;

function pod(name: string, image: string, args: readonly string[]): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { app: name } },
    spec: {
      automountServiceAccountToken: false,
      securityContext: { runAsNonRoot: true, runAsUser: 10001, seccompProfile: { type: 'RuntimeDefault' } },
      terminationGracePeriodSeconds: 1,
      volumes: [{ name: 'programs', configMap: { name: PROGRAMS } }],
      containers: [
        {
          name: 'check',
          image,
          command: ['node', ...args],
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          },
          volumeMounts: [{ name: 'programs', mountPath: '/check' }],
        },
      ],
    },
  };
}

async function started(kubectl: Kubectl, name: string): Promise<void> {
  await kubectl.run('wait', '--for=condition=Ready', `pod/${name}`, '--timeout=120s');
}

/** Starts the mail system, with a Service of its name. */
export async function startSink(kubectl: Kubectl, image: string): Promise<void> {
  const ports = Array.from({ length: SITES }, (_, i) => ({ name: `site-${i}`, port: FIRST_PORT + i }));
  await kubectl.apply([
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: PROGRAMS }, data: podPrograms() },
    pod(SINK, image, ['/check/pod-sink.ts', `${FIRST_PORT}`, `${SITES}`, `${ANSWER_AFTER_MS}`]),
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: SINK },
      spec: { selector: { app: SINK }, ports },
    },
  ]);
  await started(kubectl, SINK);
}

/** Starts to send to `host`:`port`, and goes on until it is asked to stop. */
export async function startSender(
  kubectl: Kubectl,
  image: string,
  { host, port, perSecond }: { host: string; port: number; perSecond: number },
): Promise<void> {
  const args = [host, port, perSecond, SITES, DOMAIN, TOKEN_PREFIX].map(String);
  await kubectl.apply([pod(SENDER, image, ['/check/pod-sender.ts', ...args])]);
  await started(kubectl, SENDER);
}

/** What the program in the pod answers. */
export async function ask<Q extends Question>(
  kubectl: Kubectl,
  name: string,
  question: Q,
): Promise<PodAnswers[Q]> {
  return JSON.parse(await kubectl.run('exec', name, '--', ...askingCommand(question))) as PodAnswers[Q];
}
