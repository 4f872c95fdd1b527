// `npm run bench -- --greylist`: every mail is deferred twice and then taken. Shows what that costs nats-server for each mail,
// processor time and memory, and how long it takes: the queue, a worker that is played and the load in this process.
// Fails: what is not over in time ends it.
import { setTimeout as pause } from 'node:timers/promises';
import { QueueRig, until } from '#kit/queue-rig.ts';
import { callApi } from '#libs/nats/api.ts';
import { processTimes, residentOctets } from './processor-time.ts';
import { whole } from './statistics.ts';

export interface Greylist {
  mails: number;
  say: (line: string) => void;
}

const PARTITIONS = 8;
const PACK_MAILS = 100;
/** Below this many mails whose outcome nobody acted on, the next pack comes. */
const OPEN_MAX = 2000;
const DEFERRALS = 2;
const RETRY_MS = 20_000;
const OVER_WITHIN_MS = 1_800_000;
const LOOK_MS = 200;

export async function runGreylist({ mails, say }: Greylist): Promise<void> {
  const rig = await QueueRig.start({ partitions: PARTITIONS, policy: { scheduleMs: [RETRY_MS] } });
  try {
    const worker = await rig.worker();
    worker.decide = ({ attempts }) => (attempts < DEFERRALS ? 'DEFERRED' : 'RELAYED');
    await rig.openQueue();
    const { pid } = rig.nats;
    const cpuS = () => processTimes(pid)?.ownS ?? 0;
    const [startCpuS, startOctets, startedAtMs] = [cpuS(), residentOctets(pid), performance.now()];
    let most = startOctets;
    const watch = setInterval(() => {
      most = Math.max(most, residentOctets(pid));
    }, LOOK_MS);
    for (let sent = 0; sent < mails; sent += PACK_MAILS) {
      while (worker.unacknowledged.size > OPEN_MAX) await pause(5);
      await rig.accept(greylisted(sent), (sent / PACK_MAILS) % PARTITIONS);
    }
    const attempts = mails * (DEFERRALS + 1);
    await until(() => worker.acknowledged.length >= attempts, OVER_WITHIN_MS);
    const info = await callApi<{ state: { num_deleted?: number } }>(
      rig.link,
      'STREAM.INFO.QUEUE',
      undefined,
      5000,
    );
    const deleted = info.kind === 'ok' ? (info.value.state.num_deleted ?? 0) : 0;
    // Removals are in the background.
    await until(async () => (await rig.states(0)).length === 0, OVER_WITHIN_MS);
    clearInterval(watch);
    const tookS = (performance.now() - startedAtMs) / 1000;
    const cpuUs = ((cpuS() - startCpuS) * 1e6) / mails;
    const kb = (most - startOctets) / 1000 / mails;
    say(
      `${whole(mails)} mails, each deferred ${DEFERRALS} times and then taken, in ${tookS.toFixed(0)} s; of nats-server: ` +
        `${whole(cpuUs)} us of processor time per mail, at most ${whole(most / 1e6)} MB (${kb.toFixed(2)} KB per mail), ` +
        `${whole(deleted)} deleted sequences in QUEUE at the end`,
    );
  } finally {
    await rig.stop();
  }
}

/** Hosts are many: what one of them takes at a time is no limit here. */
function greylisted(from: number): { to: string[] }[] {
  return Array.from({ length: PACK_MAILS }, (_, i) => ({
    to: [`r${from + i}@h${(from + i) % 500}.example`],
  }));
}
