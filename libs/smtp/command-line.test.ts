import { describe, expect, test } from '@jest/globals';
import { parseMailArgument, parseRcptArgument } from './command-line.ts';

const plain = { reversePath: 'a@b.c', declaredSize: 0, bodyType: '7BIT' };

describe('parseMailArgument', () => {
  test.each([
    ['FROM:<a@b.c>', plain],
    ['from:<a@b.c>', plain],
    ['FROM: <a@b.c>', plain],
    ['FROM:<>', { ...plain, reversePath: '' }],
    ['FROM:<@x.y:a@b.c>', plain],
    ['FROM:<a@b.c> SIZE=0', plain],
    ['FROM:<a@b.c> size=1234', { ...plain, declaredSize: 1234 }],
    ['FROM:<a@b.c> SIZE=00012', { ...plain, declaredSize: 12 }],
    ['FROM:<a@b.c> SIZE=99999999999999999999', { ...plain, declaredSize: 1e20 }],
    ['FROM:<a@b.c> BODY=8bitmime  SIZE=5', { ...plain, bodyType: '8BITMIME', declaredSize: 5 }],
    ['FROM:<a@b.c> BODY=7BIT', plain],
    ['FROM:<"a> SIZE=1"@b.c>', { ...plain, reversePath: '"a> SIZE=1"@b.c' }],
    ['<a@b.c>', 'mailSyntax'],
    ['', 'mailSyntax'],
    ['TO:<a@b.c>', 'mailSyntax'],
    ['FROM <a@b.c>', 'mailSyntax'],
    ['FROM :<a@b.c>', 'mailSyntax'],
    ['FROM:', 'reversePathSyntax'],
    ['FROM:a@b.c', 'reversePathSyntax'],
    ['FROM:<a@b.c', 'reversePathSyntax'],
    ['FROM:<a>', 'reversePathSyntax'],
    ['FROM:<postmaster>', 'reversePathSyntax'],
    ['FROM:<a@b.c>SIZE=1', 'parameterSyntax'],
    ['FROM:<a@b.c> SIZE', 'parameterSyntax'],
    ['FROM:<a@b.c> SIZE=', 'parameterSyntax'],
    ['FROM:<a@b.c> SIZE=-1', 'parameterSyntax'],
    ['FROM:<a@b.c> SIZE=+1', 'parameterSyntax'],
    ['FROM:<a@b.c> SIZE=0x10', 'parameterSyntax'],
    ['FROM:<a@b.c> SIZE=1e3', 'parameterSyntax'],
    ['FROM:<a@b.c> SIZE=1.5', 'parameterSyntax'],
    ['FROM:<a@b.c> SIZE=1=1', 'parameterSyntax'],
    ['FROM:<a@b.c> SIZE=999999999999999999999', 'parameterSyntax'],
    ['FROM:<a@b.c> SIZE=1 size=1', 'parameterSyntax'],
    ['FROM:<a@b.c> BODY=BINARYMIME', 'parameterSyntax'],
    ['FROM:<a@b.c> BODY', 'parameterSyntax'],
    ['FROM:<a@b.c> =1', 'parameterSyntax'],
    ['FROM:<a@b.c> <b@c.d>', 'parameterSyntax'],
    ['FROM:<a@b.c> SMTPUTF8', 'parameterUnknown'],
    ['FROM:<a@b.c> AUTH=<>', 'parameterUnknown'],
    ['FROM:<a@b.c> RET=FULL', 'parameterUnknown'],
    ['FROM:<a@b.c> constructor=1', 'parameterUnknown'],
  ])('makes of %s', (argument, expected) => {
    expect(parseMailArgument(argument)).toEqual(expected);
  });
});

describe('parseRcptArgument', () => {
  test.each([
    ['TO:<a@B.c>', { path: 'a@B.c', domain: 'b.c' }],
    ['to: <a@b.c>', { path: 'a@b.c', domain: 'b.c' }],
    ['TO:<@x.y:a@b.c>', { path: 'a@b.c', domain: 'b.c' }],
    ['TO:<Postmaster>', { path: 'Postmaster', domain: '' }],
  ])('reads %s', (argument, expected) => {
    expect(parseRcptArgument(argument)).toMatchObject(expected);
  });

  test.each([
    ['FROM:<a@b.c>', 'rcptSyntax'],
    ['', 'rcptSyntax'],
    ['TO:<>', 'forwardPathSyntax'],
    ['TO:a@b.c', 'forwardPathSyntax'],
    ['TO:<root>', 'forwardPathSyntax'],
    ['TO:<a@b.c><d@e.f>', 'parameterSyntax'],
    ['TO:<a@b.c> N=', 'parameterSyntax'],
    ['TO:<a@b.c> NOTIFY=NEVER', 'parameterUnknown'],
    ['TO:<a@b.c> X', 'parameterUnknown'],
  ])('refuses %s', (argument, trouble) => {
    expect(parseRcptArgument(argument)).toBe(trouble);
  });
});
