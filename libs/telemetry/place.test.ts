import { describe, expect, test } from '@jest/globals';
import { placeAttributes, releaseVersion } from './place.ts';

describe('The place of a process', () => {
  test('is the pod that the environment names', () => {
    const env = { POD_NAME: 'mx-queue-0', POD_NAMESPACE: 'mail', NODE_NAME: 'n1', HOME: '/' };
    expect(placeAttributes(env)).toEqual({
      'k8s.pod.name': 'mx-queue-0',
      'k8s.namespace.name': 'mail',
      'k8s.node.name': 'n1',
    });
  });

  test('is not said when nobody names it', () => {
    expect(placeAttributes({ POD_NAME: '', NODE_NAME: undefined })).toEqual({});
  });

  test('has the version of the release', () => {
    expect(releaseVersion()).toMatch(/^\d+\.\d+\.\d+/);
  });
});
