import { describe, expect, test } from '@jest/globals';
import { extensionsOf, NO_EXTENSIONS } from './extensions.ts';

describe('the extensions of a hello reply', () => {
  test('are told whatever their case and order', () => {
    const lines = ['mx hello', 'size 1000', 'PIPELINING ', 'StartTLS', '8bitmime', 'AUTH PLAIN'];
    expect(extensionsOf(lines)).toEqual({
      pipelining: 'offered',
      starttls: 'offered',
      eightBitMime: 'offered',
      size: 'offered',
      sizeMax: 1000,
    });
  });

  test('are none in a greeting that mentions them', () => {
    expect(extensionsOf(['PIPELINING'])).toEqual(NO_EXTENSIONS);
    expect(extensionsOf(['mx', 'X-PIPELINING', 'PIPELINING8', 'XSIZE 5', ''])).toEqual(NO_EXTENSIONS);
  });

  test.each([
    ['SIZE', 0],
    ['SIZE 0', 0],
    ['SIZE 52428800', 52_428_800],
    ['SIZE 0x10', 0],
    ['SIZE 1e3', 0],
    ['SIZE -1', 0],
    ['SIZE=100', 0],
  ])('%s limits mails to %i octets', (line, sizeMax) => {
    expect(extensionsOf(['mx', line]).sizeMax).toBe(sizeMax);
  });
});
