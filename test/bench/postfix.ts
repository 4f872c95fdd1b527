// A Postfix of its own in a temporary folder: relays everything to the sink, tuned as a fair opponent. Its durability
// is as shipped (cleanup fsyncs every queue file before 250); nothing in its log, no DNS, no TLS, no chroot, no limits per
// client, room for as many processes as sessions.
// Fails: where Postfix is missing or does not start, the bench ends with what Postfix said.
import { execFile } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { freePort } from '#kit/cluster-ports.ts';
import { findTool } from './load-tools.ts';
import { treeSeconds } from './processor-time.ts';

const run = promisify(execFile);

function mainConfig(folder: string, sinkPort: number): Record<string, string> {
  return {
    compatibility_level: '3.6',
    queue_directory: join(folder, 'spool'),
    data_directory: join(folder, 'data'),
    mail_owner: 'postfix',
    setgid_group: 'postdrop',
    myhostname: 'postfix.bench.test',
    mydestination: '',
    mynetworks: '127.0.0.0/8',
    inet_interfaces: '127.0.0.1',
    inet_protocols: 'ipv4',
    relayhost: `[127.0.0.1]:${sinkPort}`,
    alias_maps: '',
    alias_database: '',
    local_recipient_maps: '',
    smtpd_relay_restrictions: 'permit_mynetworks, reject',
    smtpd_recipient_restrictions: '',
    smtpd_tls_security_level: 'none',
    smtp_tls_security_level: 'none',
    smtp_dns_support_level: 'disabled',
    smtp_host_lookup: 'native',
    smtpd_peername_lookup: 'no',
    receive_override_options: 'no_address_mappings',
    biff: 'no',
    // No pause of the client when the queue manager is behind, and no limit per client (so no anvil).
    in_flow_delay: '0',
    smtpd_client_connection_count_limit: '0',
    smtpd_client_connection_rate_limit: '0',
    smtpd_client_message_rate_limit: '0',
    default_process_limit: '250',
    max_use: '100000',
    qmgr_message_active_limit: '40000',
    qmgr_message_recipient_limit: '40000',
    default_destination_concurrency_limit: '50',
    initial_destination_concurrency: '50',
    destination_concurrency_feedback_debug: 'no',
    // Connections to the sink are kept for many mails, as they are on the other side.
    smtp_connection_cache_destinations: `[127.0.0.1]:${sinkPort}`,
    smtp_connection_reuse_count_limit: '0',
    smtp_connection_reuse_time_limit: '3600s',
    smtp_connection_cache_time_limit: '5s',
  };
}

/** Every service of master.cf, without chroot. */
function masterConfig(port: number): string {
  const services = [
    `127.0.0.1:${port} inet n - n - 250 smtpd`,
    'pickup unix n - n 60 1 pickup',
    'cleanup unix n - n - 0 cleanup',
    'qmgr unix n - n 300 1 qmgr',
    'tlsmgr unix - - n 1000? 1 tlsmgr',
    'rewrite unix - - n - - trivial-rewrite',
    'bounce unix - - n - 0 bounce',
    'defer unix - - n - 0 bounce',
    'trace unix - - n - 0 bounce',
    'verify unix - - n - 1 verify',
    'flush unix n - n 1000? 0 flush',
    'proxymap unix - - n - - proxymap',
    'proxywrite unix - - n - 1 proxymap',
    'smtp unix - - n - 50 smtp',
    'relay unix - - n - 50 smtp',
    'showq unix n - n - - showq',
    'error unix - - n - - error',
    'retry unix - - n - - error',
    'discard unix - - n - - discard',
    'anvil unix - - n - 1 anvil',
    'scache unix - - n - 1 scache',
  ];
  return services.map((line) => `${line}\n`).join('');
}

export class BenchPostfix {
  readonly name = 'Postfix';
  readonly port: number;
  readonly #config: string;
  readonly #spool: string;

  private constructor(port: number, config: string, spool: string) {
    this.port = port;
    this.#config = config;
    this.#spool = spool;
  }

  /** `folder` must lie on the disk that the other side writes to, and be readable by everybody. */
  static async start(folder: string, sinkPort: number): Promise<BenchPostfix> {
    if (process.getuid?.() !== 0) throw new Error('Postfix starts as root only; run the bench as root');
    const port = await freePort();
    const config = join(folder, 'config');
    const data = join(folder, 'data');
    for (const made of [folder, config, join(folder, 'spool'), data]) {
      mkdirSync(made, { recursive: true });
      chmodSync(made, 0o755);
    }
    const owner = (await run('id', ['-u', 'postfix'])).stdout.trim();
    chownSync(data, Number(owner), -1);
    const settings = Object.entries(mainConfig(folder, sinkPort));
    writeFileSync(join(config, 'main.cf'), settings.map(([key, value]) => `${key} = ${value}\n`).join(''));
    writeFileSync(join(config, 'master.cf'), masterConfig(port));
    const postfix = new BenchPostfix(port, config, join(folder, 'spool'));
    await postfix.#command('start');
    await pause(500);
    postfix.#masterPid();
    return postfix;
  }

  async #command(verb: 'start' | 'stop'): Promise<void> {
    const path = findTool('postfix');
    if (path === undefined) throw new Error('Postfix is missing: apt-get install postfix');
    try {
      await run(path, ['-c', this.#config, verb], { env: { ...process.env, MAIL_LOGTAG: 'bench' } });
    } catch (error) {
      throw new Error(`postfix ${verb} failed: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  #masterPid(): number {
    return Number(readFileSync(join(this.#spool, 'pid', 'master.pid'), 'latin1').trim());
  }

  /** CPU seconds so far, by process; Postfix's many processes are one group. */
  processorSeconds(): Map<string, number> {
    return new Map([['all', treeSeconds(this.#masterPid())]]);
  }

  async stop(): Promise<void> {
    await this.#command('stop');
  }
}
