// A carrier that speaks SMTP or LMTP: feeds its session's machine with what the socket, the packs and the checkpoints
// say, and does what the machine wants done. One write per turn, no timer of its own, no copy of mail data.
//
// Fails: by the outcome table. A connection that is lost after the final dot defers its recipients: the server may have
// taken the mail, and a duplicate is better than a loss (RFC 5321 §6.1).
import type { SmtpReply } from '#libs/mail/reply.ts';
import type { Frame } from '#libs/pack/pack.ts';
import { ReplyParser } from '#libs/smtp/reply-parser.ts';
import { type Outcome, OutcomeKind } from '#proto/postrider/v1/job.ts';
import { BodyType, type Reply } from '#proto/postrider/v1/mail.ts';
import {
  type Attempt,
  outcomeForAll,
  outcomeOf,
  positionsOf,
  type RecipientFate,
  returnedUnsent,
} from '../attempt.ts';
import type { Carrier, CarrierEvent } from '../carrier.ts';
import type { RefusalCause } from '../checkpoint.machine.ts';
import type { CheckpointDesk, PassageListener } from '../checkpoints.actor.ts';
import type { FrameRead, PackCache } from '../pack-cache.actor.ts';
import type { DeadAddresses, Target } from '../route-order.ts';
import { dataTrouble, frameFor } from '../trouble.ts';
import { isReady, openSession, patienceMs, receive } from './client.machine.ts';
import type { ClientEffect, ClientInput, ClientPolicy, MailToCarry, Result } from './client-session.ts';
import { MailWriter } from './mail-writer.actor.ts';
import { type Fate, replyOfSilence } from './outcome-table.ts';
import { Wire, type WireListener } from './wire.actor.ts';

export interface ConnectionOptions {
  protocol: ClientPolicy['protocol'];
  hostname: string;
  tls: ClientPolicy['tls'];
  /** In the order to be tried. */
  targets: readonly Target[];
  dead: DeadAddresses;
  timeoutScale: number;
  cache: PackCache;
  checkpoints: CheckpointDesk;
  now: () => number;
  /** False when others may have what is ours: no final dot leaves then. */
  mayEnd: () => boolean;
  onEvent: (event: CarrierEvent) => void;
}

const CHECKPOINT_PASSED: ClientInput = { kind: 'checkpointPassed' };
const DOT_REFUSED: ClientInput = { kind: 'dotRefused' };
const STREAMED: ClientInput = { kind: 'streamed' };

const WHY_REFUSED: Record<RefusalCause | 'no lease', string> = {
  fenced: 'another owner or worker has the mail by now',
  cancelled: 'the mail is not to be delivered by this attempt any more',
  over: 'the attempt has ended',
  'no lease': 'the worker is cut off from its cluster',
};

export class Connection implements Carrier, WireListener, PassageListener {
  readonly #options: ConnectionOptions;
  readonly #policy: ClientPolicy;
  readonly #session = openSession();
  readonly #parser = new ReplyParser();
  readonly #kindOf: Record<Fate, OutcomeKind>;
  #wire: Wire | undefined;
  #target: Target | undefined;
  #attempt: Attempt | undefined;
  #writer: MailWriter | undefined;
  /** When the server was last waited for; milliseconds since 1970. */
  #sinceMs = 0;
  /** What is to be told when all that came at once is read. */
  #news: CarrierEvent | undefined;
  #whyRefused = '';
  #life: 'live' | 'over' = 'live';

  /** Begins to connect. */
  constructor(options: ConnectionOptions) {
    const { protocol, hostname, tls, targets } = options;
    this.#options = options;
    this.#policy = { protocol, hostname, tls, targets: targets.length };
    // LMTP hands the mail over to its store: that is final delivery (RFC 2033 §1).
    const accepted = protocol === 'lmtp' ? OutcomeKind.DELIVERED : OutcomeKind.RELAYED;
    this.#kindOf = { accepted, deferred: OutcomeKind.DEFERRED, failed: OutcomeKind.FAILED };
    this.#feed({ kind: 'opened' });
    if (this.#news !== undefined) setImmediate(() => this.#tellNews());
  }

  carry(attempt: Attempt): void {
    this.#attempt = attempt;
    this.#options.cache.frame(attempt.job.ref!, (read) => this.#begin(attempt, read));
  }

  quit(): void {
    this.#feed({ kind: 'dismissed' });
    this.#life = 'over';
    const onGone = () => this.#options.onEvent({ kind: 'left' });
    if (this.#wire === undefined) setImmediate(onGone);
    else this.#wire.whenGone(onGone);
  }

  destroy(): readonly RecipientFate[] {
    const answered = this.#answered();
    this.#life = 'over';
    this.#attempt = undefined;
    this.#wire?.destroy();
    return answered;
  }

  /** One that ended meanwhile is not waited for any more. */
  passed(attempt: Attempt): void {
    if (this.#attempt !== attempt) return;
    this.#feed(CHECKPOINT_PASSED);
    // Its dot may be refused in this very moment.
    this.#tellNews();
  }

  refused(attempt: Attempt, cause: RefusalCause): void {
    if (this.#attempt !== attempt) return;
    this.#whyRefused = WHY_REFUSED[cause];
    this.#feed(DOT_REFUSED);
    this.#tellNews();
  }

  sweep(nowMs: number): void {
    const patience = patienceMs(this.#session);
    if (patience === 0) return;
    // It is we who have nothing to send.
    if (this.#writer?.waitsFor === 'the mail') this.#sinceMs = nowMs;
    if (nowMs - this.#sinceMs < patience * this.#options.timeoutScale) return;
    this.#feed({ kind: 'silent', silence: 'timed out', detail: labelOf(this.#target) });
    this.#tellNews();
  }

  connected(): void {
    this.#feed({ kind: 'connected' });
  }

  secured(): void {
    // Half a reply from before the handshake is nobody's (RFC 3207 §4.2).
    this.#parser.reset();
    this.#feed({ kind: 'secured' });
  }

  arrived(piece: Buffer): void {
    for (const reply of this.#parser.push(piece)) this.#feed({ kind: 'replied', reply });
    const { malformed } = this.#parser;
    const half = isReady(this.#session) && !this.#parser.isClean ? 'half a reply to nothing' : undefined;
    const detail = malformed ?? half;
    if (detail !== undefined) this.#feed({ kind: 'silent', silence: 'malformed', detail });
    this.#tellNews();
  }

  drained(): void {
    this.#sinceMs = this.#options.now();
    this.#writer?.drained();
  }

  lost(why: string): void {
    const silence = this.#session.phase.name === 'connecting' ? 'refused' : 'lost';
    const label = labelOf(this.#target);
    this.#feed({ kind: 'silent', silence, detail: why === '' ? label : `${label} ${why}` });
    this.#tellNews();
  }

  #begin(attempt: Attempt, read: FrameRead): void {
    // The server may have left meanwhile.
    if (this.#attempt !== attempt) return;
    const checked = frameFor(attempt.job, read);
    if (checked.kind === 'found') {
      this.#writer = new MailWriter(this.#options.cache, checked.frame);
      this.#feed({ kind: 'mailGiven', mail: mailOf(attempt, checked.frame) });
    } else {
      this.#finished(dataTrouble(attempt.job, checked.kind), 'reusable');
    }
    // In a turn of its own: who gives the next mail at once must not be called from within `carry`.
    if (this.#news !== undefined) setImmediate(() => this.#tellNews());
  }

  #feed(input: ClientInput): void {
    if (this.#life === 'over') return;
    this.#sinceMs = this.#options.now();
    for (const effect of receive(this.#session, input, this.#policy)) this.#perform(effect);
  }

  #perform(effect: ClientEffect): void {
    switch (effect.do) {
      case 'say':
        this.#wire!.say(effect.text);
        break;
      case 'passCheckpoint':
        this.#options.checkpoints.pass(this.#attempt!, this);
        break;
      case 'sendMail':
      case 'sendDot':
        this.#sendEnd(effect.do);
        break;
      case 'streamMail':
        this.#stream(this.#attempt!, this.#writer!);
        break;
      case 'dial':
        this.#dial(effect.target);
        break;
      case 'startTls':
        this.#wire!.startTls();
        break;
      case 'hangUp':
        this.#wire?.destroy();
        break;
      case 'leave':
        this.#wire!.leave();
        break;
      default:
        this.#note(effect);
    }
  }

  /** The dot leaves, unless somebody else may be at the mail: a process that stood still finds that out here. */
  #sendEnd(what: 'sendMail' | 'sendDot'): void {
    if (!this.#options.mayEnd()) {
      this.#whyRefused = WHY_REFUSED['no lease'];
      this.#feed(DOT_REFUSED);
      return;
    }
    this.#attempt!.dot = 'out';
    if (what === 'sendMail') this.#writer!.sendWhole(this.#wire!);
    else this.#writer!.sendDot(this.#wire!);
  }

  /** Keeps what is to be told; a connection that ends right after its mail was answered is spent. */
  #note(effect: Extract<ClientEffect, { do: `tell${string}` }>): void {
    const attempt = this.#attempt;
    switch (effect.do) {
      case 'tellReady':
        this.#options.dead.answered(this.#target!);
        this.#news = { kind: 'ready' };
        break;
      case 'tellFinished':
        this.#finished(this.#outcome(effect.results), effect.connectionIs);
        break;
      case 'tellStale':
        this.#end({ kind: 'stale', attempt: attempt! });
        break;
      case 'tellClosed':
        this.#closed(effect.results);
        break;
      case 'tellDown': {
        if (effect.results === undefined && this.#target !== undefined) this.#targetFailed(this.#target);
        const outcome = effect.results === undefined ? undefined : this.#outcome(effect.results);
        this.#end({ kind: 'down', reason: this.#said(effect.reason), outcome });
        break;
      }
      case 'tellRefused':
        this.#finished(returnedUnsent(attempt!.job, this.#whyRefused), 'spent');
        break;
      case 'tellDataLost':
        this.#finished(dataTrouble(attempt!.job, effect.trouble), 'spent');
        break;
    }
  }

  #finished(outcome: Outcome, connectionIs: 'reusable' | 'spent'): void {
    this.#end({ kind: 'finished', attempt: this.#attempt!, outcome, connectionIs });
  }

  #closed(results: readonly Result[] | undefined): void {
    const attempt = this.#attempt;
    if (results !== undefined) this.#end({ kind: 'closed', outcome: this.#outcome(results) });
    else if (this.#news?.kind === 'finished') this.#news.connectionIs = 'spent';
    else if (this.#news?.kind === 'ready')
      this.#end({ kind: 'down', reason: this.#outOfStep(), outcome: undefined });
    else if (attempt !== undefined) this.#end({ kind: 'stale', attempt });
    else this.#end({ kind: 'closed', outcome: undefined });
  }

  /** A host that was left while it was ready must count as down, or it would be dialled again at once. */
  #outOfStep(): Reply {
    return this.#said(replyOfSilence('hello', 'malformed', labelOf(this.#target)));
  }

  #end(news: CarrierEvent): void {
    this.#news = news;
    this.#attempt = undefined;
    this.#writer = undefined;
  }

  #tellNews(): void {
    const news = this.#news;
    if (news === undefined || this.#life === 'over') return;
    this.#news = undefined;
    this.#options.onEvent(news);
  }

  #dial(target: number): void {
    const next = this.#options.targets[target]!;
    this.#wire?.destroy();
    if (this.#target !== undefined && this.#target !== next) this.#targetFailed(this.#target);
    this.#target = next;
    this.#parser.reset();
    this.#wire = new Wire(next, this);
  }

  #targetFailed(target: Target): void {
    this.#options.dead.failed(target, this.#options.now());
  }

  #stream(attempt: Attempt, writer: MailWriter): void {
    writer.stream(this.#wire!, (end) => {
      // The server may have ended it meanwhile.
      if (this.#attempt !== attempt) return;
      this.#feed(end === 'sent' ? STREAMED : { kind: 'dataLost', trouble: end });
      this.#tellNews();
    });
  }

  /** Recipients of the mail that is carried whose fate is known, when its final dot is out. */
  #answered(): RecipientFate[] {
    const { phase } = this.#session;
    if (this.#attempt === undefined || phase.name !== 'ending') return [];
    const { results } = phase.transaction;
    const positions = positionsOf(this.#attempt.job, results.length);
    return results.flatMap((result, i) =>
      result === undefined ? [] : [this.#fateOf(result, positions[i]!)],
    );
  }

  #fateOf({ fate, reply }: Result, position: number): RecipientFate {
    return { position, kind: this.#kindOf[fate], reply: this.#said(reply) };
  }

  #outcome(results: readonly Result[]): Outcome {
    const { job } = this.#attempt!;
    const tls = this.#wire!.tls;
    const first = results[0]!;
    if (results.every((result) => result === first)) {
      return outcomeForAll(job, { kind: this.#kindOf[first.fate], reply: this.#said(first.reply), tls });
    }
    const positions = positionsOf(job, results.length);
    const fates = results.map((result, i) => this.#fateOf(result, positions[i]!));
    return outcomeOf(job, fates, tls);
  }

  /** Words of the server bear its name; ours do not. */
  #said(reply: SmtpReply): Reply {
    const { code, enhanced, text } = reply;
    return { code, enhanced, text, host: 'lines' in reply ? labelOf(this.#target) : '' };
  }
}

/** "mx1.example.net[192.0.2.1]", or whichever of the two there is. */
function labelOf(target: Target | undefined): string {
  if (target === undefined) return '';
  const { host, address } = target;
  if (host.unixPath !== '') return host.unixPath;
  return host.name === '' || host.name === address ? address : `${host.name}[${address}]`;
}

function mailOf({ job }: Attempt, { envelope, prepended, data }: Frame): MailToCarry {
  const { forwardPaths, chunks } = envelope;
  let size = prepended.length + data.length;
  for (const chunk of chunks) size += chunk.length;
  return {
    reversePath: envelope.reversePath,
    forwardPaths: job.recipients.length === 0 ? forwardPaths : job.recipients.map((i) => forwardPaths[i]!),
    size,
    body: envelope.bodyType === BodyType.BODY_TYPE_8BITMIME ? '8bitmime' : '7bit',
    data: chunks.length === 0 ? 'whole' : 'streamed',
  };
}
