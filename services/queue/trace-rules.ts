// Rules about whose mail is traced, as operators give them: what is one, how many there may be, and what a change makes of
// them. Pure.
import { isAddress, isDomainName } from '#libs/mail/address.ts';
import type { ForceTraceRequest } from '#proto/postrider/v1/admin.ts';
import type { TraceRule } from '#proto/postrider/v1/rules.ts';

/** All of them are one record, and ingress looks at them for every mail. */
export const RULES_MAX = 100;
const FOR_MS_MIN = 1000;
/** What is wanted for longer belongs in telemetry.alwaysSample. */
const FOR_MS_MAX = 7 * 86_400_000;
const REASON_MAX = 200;

export type CheckedRule = { kind: 'rule'; rule: TraceRule } | { kind: 'invalid'; reason: string };

/** The rule that is asked for at `nowMs`. */
export function ruleOf({ name, forMs, reason }: ForceTraceRequest, nowMs: number): CheckedRule {
  const known = nameOf(name);
  const shown = JSON.stringify(name.slice(0, 80));
  if (name.startsWith('*'))
    return invalid(`${shown}: all of a domain is meant by the domain alone (example.com)`);
  if (known === undefined) {
    return invalid(`${shown} is neither an address (alice@example.com) nor a domain (example.com)`);
  }
  if (!(forMs >= FOR_MS_MIN && forMs <= FOR_MS_MAX)) {
    return invalid(
      'a trace can be forced for 1 s to 7 d; what is wanted for longer is telemetry.alwaysSample',
    );
  }
  if (reason.length > REASON_MAX) return invalid(`a reason has at most ${REASON_MAX} characters`);
  return { kind: 'rule', rule: { name: known, madeAtMs: nowMs, untilMs: nowMs + forMs, reason } };
}

/** In lower case; undefined when it is neither an address nor a domain. */
export function nameOf(text: string): string | undefined {
  return isAddress(text) || isDomainName(text) ? text.toLowerCase() : undefined;
}

/** With `rule`, which takes the place of an older one of its name; undefined when there is no room for it. */
export function withRule(
  rules: readonly TraceRule[],
  rule: TraceRule,
  nowMs: number,
): TraceRule[] | undefined {
  const others = holding(rules, nowMs).filter(({ name }) => name !== rule.name);
  return others.length >= RULES_MAX ? undefined : [...others, rule];
}

/** Without the rule of this name; undefined when none holds. */
export function withoutRule(
  rules: readonly TraceRule[],
  name: string,
  nowMs: number,
): TraceRule[] | undefined {
  const held = holding(rules, nowMs);
  const left = held.filter((rule) => rule.name !== name);
  return left.length === held.length ? undefined : left;
}

/** Those that hold. */
export function holding(rules: readonly TraceRule[], nowMs: number): TraceRule[] {
  return rules.filter(({ untilMs }) => untilMs > nowMs);
}

const invalid = (reason: string): CheckedRule => ({ kind: 'invalid', reason });
