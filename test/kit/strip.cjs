// Jest transform: erases the types of a TypeScript file with the same stripper that Node itself uses, so that
// tests run the code that production runs, line for line (no source map is needed: columns do not move).
const { createHash } = require('node:crypto');
const { stripTypeScriptTypes } = require('node:module');

module.exports = {
  process: (source, path) => ({
    code: path.endsWith('.ts') ? stripTypeScriptTypes(source, { mode: 'strip' }) : source,
  }),
  // Jest instruments our output for coverage: then it is another output.
  getCacheKey: (source, path, { instrument }) =>
    createHash('sha256').update(`${process.version} ${path} ${instrument}\n`).update(source).digest('hex'),
};
